#include "lib/backend/onednn/pool.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

namespace distil::onednn {
namespace {

// An image tensor as [n][block][h][w][lane]: lanes are neighbouring channels.
struct Image {
  int64_t n, blocks, h, w, lanes;
  int64_t sn, sb, sh, sw, sl;
};

Image ImageOf(const Value& v) {
  const int64_t n = v.shape[0], c = v.shape[1], h = v.shape[2], w = v.shape[3];
  if (v.layout == Layout::kBlocked16) return {n, c / 16, h, w, 16, c * h * w, h * w * 16, w * 16, 16, 1};
  if (v.layout == Layout::kNhwc) return {n, 1, h, w, c, c * h * w, 0, w * c, c, 1};
  return {n, c, h, w, 1, c * h * w, h * w, w, 1, 1};
}

// The window of output position o along one axis, clipped to the input.
struct Window {
  int64_t begin, end;
  int64_t size;  // what AvgPool divides by along this axis
};

std::vector<Window> Windows(const PoolAttrs& a, int axis, int64_t in, int64_t out) {
  std::vector<Window> w(static_cast<size_t>(out));
  for (int64_t o = 0; o < out; ++o) {
    Window& v = w[static_cast<size_t>(o)];
    if (a.adaptive) {
      v.begin = o * in / out;
      v.end = ((o + 1) * in + out - 1) / out;
      v.size = v.end - v.begin;
      continue;
    }
    const int64_t begin = o * a.stride[axis] - a.pad[axis];
    const int64_t end = std::min(begin + a.kernel[axis], in + a.pad[axis]);
    v.begin = std::max<int64_t>(begin, 0);
    v.end = std::min(end, in);
    v.size = a.count_include_pad ? end - begin : v.end - v.begin;
  }
  return w;
}

class Pool : public Kernel {
 public:
  Pool(Op op, const PoolAttrs& a, const Image& x, const Image& v, const Image& y, int threads)
      : op_(op),
        x_(x),
        v_(v),
        y_(y),
        rows_(Windows(a, 0, x.h, y.h)),
        cols_(Windows(a, 1, x.w, y.w)),
        threads_(threads) {}

  // x: the large side; y: the small side. MaxPool (x, v) -> y; MaxPoolScatter (x, y) -> v; AvgPool x -> y; its grad y
  // -> x.
  void Run(const KernelArgs& args) override {
    const int64_t planes = x_.n * x_.blocks;
    const bool parallel = planes * x_.h * x_.w * x_.lanes > 20000;
#pragma omp parallel for schedule(static) num_threads(threads_) if (parallel)
    for (int64_t p = 0; p < planes; ++p) {
      const int64_t n = p / x_.blocks, b = p % x_.blocks;
      auto in = [&](int i, const Image& m) { return static_cast<const float*>(args.in[i]) + n * m.sn + b * m.sb; };
      auto out = [&](const Image& m) { return static_cast<float*>(args.out[0]) + n * m.sn + b * m.sb; };
      switch (op_) {
        case Op::kMaxPool: Max(in(0, x_), in(1, v_), out(y_)); break;
        case Op::kMaxPoolScatter: Scatter(in(0, x_), in(1, y_), out(v_)); break;
        case Op::kAvgPool: Average(in(0, x_), out(y_)); break;
        default: Spread(in(0, y_), out(x_)); break;
      }
    }
  }

 private:
  // The position (h * w + w) of the first maximum of a window, for one lane.
  void ArgMax(const float* x, const Window& r, const Window& c, int64_t lane, int64_t* bh, int64_t* bw) const {
    float best = 0;
    bool first = true;
    for (int64_t h = r.begin; h < r.end; ++h) {
      const float* row = x + h * x_.sh + lane * x_.sl;
      for (int64_t w = c.begin; w < c.end; ++w) {
        const float v = row[w * x_.sw];
        if (first || v > best || (v != v && best == best)) best = v, *bh = h, *bw = w, first = false;
      }
    }
  }

  template <class F>
  void EachWindow(F&& f) const {
    for (int64_t h = 0; h < y_.h; ++h)
      for (int64_t w = 0; w < y_.w; ++w) f(h, w, rows_[static_cast<size_t>(h)], cols_[static_cast<size_t>(w)]);
  }

  void Max(const float* x, const float* v, float* y) const {
    EachWindow([&](int64_t h, int64_t w, const Window& r, const Window& c) {
      for (int64_t l = 0; l < y_.lanes; ++l) {
        int64_t bh = r.begin, bw = c.begin;
        ArgMax(x, r, c, l, &bh, &bw);
        y[h * y_.sh + w * y_.sw + l * y_.sl] = v[bh * v_.sh + bw * v_.sw + l * v_.sl];
      }
    });
  }

  void Scatter(const float* x, const float* dy, float* dv) const {
    Clear(dv, v_);
    EachWindow([&](int64_t h, int64_t w, const Window& r, const Window& c) {
      for (int64_t l = 0; l < y_.lanes; ++l) {
        int64_t bh = r.begin, bw = c.begin;
        ArgMax(x, r, c, l, &bh, &bw);
        dv[bh * v_.sh + bw * v_.sw + l * v_.sl] += dy[h * y_.sh + w * y_.sw + l * y_.sl];
      }
    });
  }

  void Average(const float* x, float* y) const {
    EachWindow([&](int64_t h, int64_t w, const Window& r, const Window& c) {
      const float scale = 1.0f / static_cast<float>(r.size * c.size);
      float* to = y + h * y_.sh + w * y_.sw;
      for (int64_t l = 0; l < y_.lanes; ++l) to[l * y_.sl] = 0;
      for (int64_t i = r.begin; i < r.end; ++i)
        for (int64_t j = c.begin; j < c.end; ++j)
          for (int64_t l = 0; l < y_.lanes; ++l) to[l * y_.sl] += x[i * x_.sh + j * x_.sw + l * x_.sl];
      for (int64_t l = 0; l < y_.lanes; ++l) to[l * y_.sl] *= scale;
    });
  }

  void Spread(const float* dy, float* dx) const {
    Clear(dx, x_);
    EachWindow([&](int64_t h, int64_t w, const Window& r, const Window& c) {
      const float scale = 1.0f / static_cast<float>(r.size * c.size);
      const float* from = dy + h * y_.sh + w * y_.sw;
      for (int64_t i = r.begin; i < r.end; ++i)
        for (int64_t j = c.begin; j < c.end; ++j)
          for (int64_t l = 0; l < y_.lanes; ++l) dx[i * x_.sh + j * x_.sw + l * x_.sl] += from[l * y_.sl] * scale;
    });
  }

  static void Clear(float* p, const Image& m) {
    std::memset(p, 0,
                static_cast<size_t>(m.h * m.w * m.lanes) * sizeof(float));  // a plane is contiguous in every layout
  }

  Op op_;
  Image x_, v_, y_;
  std::vector<Window> rows_, cols_;
  int threads_;
};

}  // namespace

std::unique_ptr<Kernel> MakePool(const Graph& g, const Node& n, int threads) {
  const Image in = ImageOf(g.value(n.in[0])), out = ImageOf(g.value(n.out[0]));
  PoolAttrs a = PoolAttrs::Unpack(n.ints);
  switch (n.op) {
    case Op::kMaxPool: return std::make_unique<Pool>(n.op, a, in, ImageOf(g.value(n.in[1])), out, threads);
    case Op::kMaxPoolScatter: return std::make_unique<Pool>(n.op, a, in, out, ImageOf(g.value(n.in[1])), threads);
    case Op::kAvgPool: return std::make_unique<Pool>(n.op, a, in, in, out, threads);
    default: return std::make_unique<Pool>(n.op, a, out, out, in, threads);
  }
}

}  // namespace distil::onednn
