#include "lib/backend/onednn/pool.h"

#include <omp.h>

#include <algorithm>

#include "lib/backend/onednn/vector_ops.h"

namespace distil::onednn {
namespace {

// Where images of one size lie: [n][block][h][w][lane], lanes being neighbouring channels.
struct Image {
  int64_t blocks, lanes;
  int64_t sn, sb, sh, sw;
};

Image ImageOf(const Shape& s, Layout layout) {
  const int64_t c = s[1], h = s[2], w = s[3];
  if (layout == Layout::kBlocked16) return {c / 16, 16, c * h * w, h * w * 16, w * 16, 16};
  if (layout == Layout::kNhwc) return {1, c, c * h * w, 0, w * c, c};
  return {c, 1, c * h * w, h * w, w, 1};
}

std::vector<PoolWindow> Windows(const PoolAttrs& a, int axis, int64_t in, int64_t out) {
  std::vector<PoolWindow> windows;
  for (int64_t o = 0; o < out; ++o) {
    if (a.adaptive) {
      const int64_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
      windows.push_back({begin, end, end - begin});
      continue;
    }
    const int64_t begin = o * a.stride[axis] - a.pad[axis];
    const int64_t end = std::min(begin + a.kernel[axis], in + a.pad[axis]);  // clipped to the padded image
    const PoolWindow inside{std::max<int64_t>(begin, 0), std::min(end, in), end - begin};
    windows.push_back({inside.begin, inside.end, a.count_include_pad ? inside.size : inside.end - inside.begin});
  }
  return windows;
}

bool Tile(const std::vector<PoolWindow>& windows, int64_t size) {
  int64_t end = 0;
  for (const PoolWindow& w : windows) {
    if (w.begin != end) return false;
    end = w.end;
  }
  return end == size;
}

bool AllTwo(const std::vector<PoolWindow>& windows) {
  return std::all_of(windows.begin(), windows.end(), [](const PoolWindow& w) { return w.end - w.begin == 2; });
}

class Pool : public Kernel {
 public:
  // large, small: the two sizes of image.
  Pool(Op op, const PoolAttrs& a, const Shape& large, const Shape& small, Layout layout, bool bf16, int threads)
      : op_(op),
        large_(ImageOf(large, layout)),
        small_(ImageOf(small, layout)),
        images_(large[0]),
        rows_(Windows(a, 0, large[2], small[2])),
        cols_(Windows(a, 1, large[3], small[3])),
        ops_(GetVectorOps()) {
    plane_ = {rows_.data(),
              cols_.data(),
              large[2],
              large[3],
              large_.sh,
              large_.sw,
              small[2],
              small[3],
              small_.sh,
              small_.sw,
              16,
              bf16,
              Tile(rows_, large[2]) && Tile(cols_, large[3]),
              AllTwo(rows_) && AllTwo(cols_)};
    parts_ = large.elements() < 20000 ? 1 : threads;
  }

  size_t workspace() const override {
    const bool spreads = op_ == Op::kMaxPoolScatter || op_ == Op::kAvgPoolGrad;
    return spreads && !plane_.tiles ? static_cast<size_t>(parts_) * SumBytes() : 0;
  }

  void Run(const KernelArgs& args) override {
    // A piece of work: 16 channels of an image, or those that are left over.
    const int64_t chunks = (large_.lanes + 15) / 16, pieces = images_ * large_.blocks * chunks;
#pragma omp parallel for schedule(static) num_threads(parts_) if (parts_ > 1)
    for (int64_t p = 0; p < pieces; ++p) {
      const int64_t image = p / (large_.blocks * chunks), block = p / chunks % large_.blocks, lane = p % chunks * 16;
      float* sum = reinterpret_cast<float*>(static_cast<char*>(args.workspace) +
                                            static_cast<size_t>(omp_get_thread_num()) * SumBytes());
      PoolPlane plane = plane_;
      int64_t count = 1;  // calls: one of 16 lanes, or some of one
      if (large_.lanes - lane < 16) plane.lanes = 1, count = large_.lanes - lane;
      for (int64_t l = lane; l < lane + count; ++l) {
        auto at = [&](const void* base, const Image& m) {
          return static_cast<const char*>(base) + (image * m.sn + block * m.sb + l) * (plane.bf16 ? 2 : 4);
        };
        auto in = [&](size_t i, const Image& m) { return at(args.in[i], m); };
        auto out = [&](const Image& m) { return const_cast<char*>(at(args.out[0], m)); };
        switch (op_) {
          case Op::kMaxPool: ops_.pool(op_, plane, in(0, large_), in(1, large_), out(small_), nullptr); break;
          case Op::kMaxPoolScatter: ops_.pool(op_, plane, in(0, large_), in(1, small_), out(large_), sum); break;
          case Op::kAvgPool: ops_.pool(op_, plane, in(0, large_), nullptr, out(small_), nullptr); break;
          default: ops_.pool(op_, plane, in(0, small_), nullptr, out(large_), sum); break;
        }
      }
    }
  }

 private:
  size_t SumBytes() const { return static_cast<size_t>(plane_.in_h * plane_.in_w) * 16 * sizeof(float); }

  Op op_;
  Image large_, small_;
  int64_t images_;
  std::vector<PoolWindow> rows_, cols_;
  const VectorOps& ops_;
  PoolPlane plane_;
  int parts_;
};

}  // namespace

std::unique_ptr<Kernel> MakePool(const Graph& g, const Node& n, int threads) {
  const Value &in = g.value(n.in[0]), &out = g.value(n.out[0]);
  const Shape& large = n.op == Op::kAvgPoolGrad ? out.shape : in.shape;
  const Shape& small = n.op == Op::kMaxPoolScatter ? g.value(n.in[1]).shape
                       : n.op == Op::kAvgPoolGrad  ? in.shape
                                                   : out.shape;
  // An image with one place claims to be row-major whatever its neighbours are.
  const Layout layout = in.layout == Layout::kPlain ? out.layout : in.layout;
  return std::make_unique<Pool>(n.op, PoolAttrs::Unpack(n.ints), large, small, layout, in.dtype == DType::kBF16,
                                threads);
}

}  // namespace distil::onednn
