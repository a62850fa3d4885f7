#include "lib/backend/onednn/winograd.h"

#include <omp.h>

#include <algorithm>

#include "lib/backend/onednn/winograd_ops.h"

namespace distil::onednn {
namespace {

using namespace winograd;

// Rows of the 36 matrices are a cache line further apart than they are long: at a power of two, the 36 stores of a
// transform would all fall into the same set of the cache.
constexpr int64_t kPad = 16;

int Vectors(int64_t channels) { return channels % 32 == 0 ? 2 : 1; }  // of 16 channels, that one product makes

struct Image {  // n images in blocks of 16 channels, cut into tiles
  int64_t n, c, h, w;
  explicit Image(const Shape& s) : n(s[0]), c(s[1]), h(s[2]), w(s[3]) {}
  int64_t across() const { return (w + 3) / 4; }
  int64_t down() const { return (h + 3) / 4; }
  int64_t tiles() const { return n * down() * across(); }
  int64_t blocks() const { return c / 16; }
  int64_t plane(int64_t image, int64_t block) const { return (image * blocks() + block) * h * w * 16; }
};

struct Tile {
  int64_t image, y, x;  // its first pixel
  Tile(const Image& s, int64_t t)
      : image(t / (s.across() * s.down())), y(t / s.across() % s.down() * 4), x(t % s.across() * 4) {}
};

// [o,c,3,3] to [36, groups of 16 or 32 outputs, inputs, outputs]. By input, the gradient's channels o are the inputs.
void TransformWeight(const float* w, const Shape& shape, ConvKind kind, int threads, float* u) {
  const bool by_input = kind == ConvKind::kInput;
  const int64_t c = shape[1], inputs = by_input ? shape[0] : c, outputs = by_input ? c : shape[0],
                width = Vectors(outputs) * 16;
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (int64_t out = 0; out < outputs; out += 16) {
    for (int64_t in = 0; in < inputs; ++in) {
      float g[9 * 16];
      for (int64_t j = 0; j < 16; ++j) {
        const float* from = w + (by_input ? in * c + out + j : (out + j) * c + in) * 9;
        for (int64_t k = 0; k < 9; ++k) g[k * 16 + j] = from[by_input ? 8 - k : k];
      }
      TransformKernels(g, u + (out / width * inputs + in) * width + out % width, inputs * outputs);
    }
  }
}

// The forward convolution, and the one by input. `inside`: the weight is row-major, and transformed in each run.
template <class E>
class Forward : public Kernel {
 public:
  Forward(const ConvSpec& s, const Shape& x, const Shape& y, int threads)
      : x_(x),
        y_(y),
        w_(s.w),
        kind_(s.kind),
        threads_(threads),
        inside_(s.attrs.algorithm == kWinogradInside),
        bias_(s.attrs.bias != 0),
        residual_(s.attrs.residual != 0),
        relu_(s.attrs.relu != 0),
        vectors_(Vectors(y[1])) {
    parts_ = static_cast<int>(std::clamp<int64_t>(x_.tiles() / kRows, 1, threads));
    chunk_ = std::clamp<int64_t>(kCache / x_.c / kRows, 1, 4) * kRows;
  }

  size_t workspace() const override {
    return (InsideFloats() + static_cast<size_t>(parts_) * PartFloats()) * sizeof(float);
  }
  bool MayAlias(int in, int) const override { return residual_ && in == Residual(); }

  void Run(const KernelArgs& args) override {
    if (inside_)
      TransformWeight(static_cast<const float*>(args.in[1]), w_, kind_, threads_, static_cast<float*>(args.workspace));
#pragma omp parallel for schedule(static, 1) num_threads(parts_)
    for (int p = 0; p < parts_; ++p) RunPart(args, p);
  }

 private:
  static constexpr int64_t kCache = 2048;  // rows times channels that a thread's cache holds 36 times

  int Residual() const { return 2 + static_cast<int>(bias_); }
  int64_t StepIn() const { return chunk_ * x_.c + kPad; }
  int64_t StepOut() const { return chunk_ * vectors_ * 16 + kPad; }
  size_t PartFloats() const { return static_cast<size_t>(kPoints * (StepIn() + StepOut())); }
  size_t InsideFloats() const { return inside_ ? WinogradWeightBytes(w_) / sizeof(float) : 0; }

  void RunPart(const KernelArgs& args, int part) const {
    const auto* x = static_cast<const E*>(args.in[0]);
    const auto* u = static_cast<const float*>(inside_ ? args.workspace : args.in[1]);
    const auto* bias = bias_ ? static_cast<const float*>(args.in[2]) : nullptr;
    const auto* residual = residual_ ? static_cast<const E*>(args.in[Residual()]) : nullptr;
    auto* y = static_cast<E*>(args.out[0]);
    float* v = static_cast<float*>(args.workspace) + InsideFloats() + static_cast<size_t>(part) * PartFloats();
    float* m = v + kPoints * StepIn();
    const int64_t first = x_.tiles() * part / parts_, end = x_.tiles() * (part + 1) / parts_;
    const int64_t groups = y_.blocks() / vectors_, width = vectors_ * 16;
    for (int64_t t = first; t < end; t += chunk_) {
      const int64_t count = std::min(chunk_, end - t);
      for (int64_t i = 0; i < count; ++i) {
        const Tile tile(x_, t + i);
        for (int64_t b = 0; b < x_.blocks(); ++b)
          TransformPatch(x + x_.plane(tile.image, b), x_.h, x_.w, tile.y - 1, tile.x - 1, v + i * x_.c + b * 16,
                         StepIn());
      }
      for (int64_t g = 0; g < groups; ++g) {
        for (int64_t p = 0; p < kPoints; ++p)
          for (int64_t i = 0; i < count; i += kRows)
            Multiply(v + p * StepIn() + i * x_.c, x_.c, 1, static_cast<int>(std::min<int64_t>(kRows, count - i)),
                     u + (p * groups + g) * x_.c * width, width, x_.c, vectors_, m + p * StepOut() + i * width, width,
                     false);
        for (int64_t i = 0; i < count; ++i) {
          const Tile tile(y_, t + i);
          for (int64_t k = 0; k < vectors_; ++k) {
            const int64_t block = g * vectors_ + k, plane = y_.plane(tile.image, block);
            TransformBack(m + i * width + k * 16, StepOut(), y + plane, y_.h, y_.w, tile.y, tile.x,
                          bias ? bias + block * 16 : nullptr, residual ? residual + plane : nullptr, relu_);
          }
        }
      }
    }
  }

  Image x_, y_;
  Shape w_;
  ConvKind kind_;
  int threads_;
  bool inside_, bias_, residual_, relu_;
  int vectors_, parts_;
  int64_t chunk_;
};

// The convolution by weight. Each thread sums over its own tiles; the sums are added in the order of threads. Where sums
// are larger than a thread's cache, it is all threads together: they share the tiles of a chunk, and then its points.
template <class E>
class ByWeight : public Kernel {
 public:
  ByWeight(const Shape& x, const Shape& y, int threads)
      : x_(x), y_(y), threads_(threads), vectors_(Vectors(y[1])), together_(x_.c * y_.c > kTogether) {
    parts_ = together_ ? 1 : static_cast<int>(std::clamp<int64_t>(x_.tiles() / kRows, 1, threads));
    chunk_ = std::min(kChunk, (x_.tiles() + parts_ - 1) / parts_);
  }

  size_t workspace() const override { return static_cast<size_t>(parts_) * PartFloats() * sizeof(float); }

  void Run(const KernelArgs& args) override {
    auto* base = static_cast<float*>(args.workspace);
    auto* out = static_cast<float*>(args.out[0]);
#pragma omp parallel num_threads(together_ ? threads_ : parts_)
    {
      if (together_) {
        SumTogether(args, base);
      } else {
#pragma omp for schedule(static, 1)
        for (int p = 0; p < parts_; ++p) SumPart(args, p, base + static_cast<size_t>(p) * PartFloats());
      }
#pragma omp for schedule(static)
      for (int64_t c = 0; c < x_.c; ++c) Finish(base, c, out);
    }
  }

 private:
  static constexpr int64_t kChannels = 8;        // rows of a product
  static constexpr int64_t kChunk = 64;          // tiles; the sums are read and written once a chunk
  static constexpr int64_t kTogether = 64 * 64;  // products of channels; there are 36 times as many sums

  int64_t StepX() const { return chunk_ * x_.c + kPad; }
  int64_t StepY() const { return chunk_ * y_.c + kPad; }
  int64_t StepSum() const { return x_.c * y_.c + kPad; }
  size_t PartFloats() const { return static_cast<size_t>(kPoints * (StepX() + StepY() + StepSum())); }

  void SumPart(const KernelArgs& args, int part, float* sum) const {
    float* v = sum + kPoints * StepSum();
    float* z = v + kPoints * StepX();
    const int64_t first = x_.tiles() * part / parts_, end = x_.tiles() * (part + 1) / parts_;
    for (int64_t t = first; t < end; t += chunk_) {
      const int64_t count = std::min(chunk_, end - t);
      for (int64_t i = 0; i < count; ++i) Transform(args, t + i, v + i * x_.c, z + i * y_.c);
      for (int64_t p = 0; p < kPoints; ++p) Products(p, count, v, z, t != first, sum);
    }
  }

  // Run by every thread; each loop ends when all are done.
  void SumTogether(const KernelArgs& args, float* sum) const {
    float* v = sum + kPoints * StepSum();
    float* z = v + kPoints * StepX();
    for (int64_t t = 0; t < x_.tiles(); t += chunk_) {
      const int64_t count = std::min(chunk_, x_.tiles() - t);
#pragma omp for schedule(static)
      for (int64_t i = 0; i < count; ++i) Transform(args, t + i, v + i * x_.c, z + i * y_.c);
#pragma omp for schedule(static)
      for (int64_t p = 0; p < kPoints; ++p) Products(p, count, v, z, t != 0, sum);
    }
  }

  // Tile t of both images.
  void Transform(const KernelArgs& args, int64_t t, float* v, float* z) const {
    const auto* x = static_cast<const E*>(args.in[0]);
    const auto* y = static_cast<const E*>(args.in[1]);
    const Tile tile(x_, t);
    for (int64_t b = 0; b < x_.blocks(); ++b)
      TransformPatch(x + x_.plane(tile.image, b), x_.h, x_.w, tile.y - 1, tile.x - 1, v + b * 16, StepX());
    for (int64_t b = 0; b < y_.blocks(); ++b)
      TransformGradient(y + y_.plane(tile.image, b), y_.h, y_.w, tile.y, tile.x, z + b * 16, StepY());
  }

  // Point p of `count` tiles, into the sums or (add) onto them.
  void Products(int64_t p, int64_t count, const float* v, const float* z, bool add, float* sum) const {
    for (int64_t o = 0; o < y_.c; o += vectors_ * 16)
      for (int64_t c = 0; c < x_.c; c += kChannels)
        Multiply(v + p * StepX() + c, 1, x_.c, kChannels, z + p * StepY() + o, y_.c, count, vectors_,
                 sum + p * StepSum() + c * y_.c + o, y_.c, add);
  }

  // Row-major kernels of one input channel, from the sums of all parts.
  void Finish(float* base, int64_t c, float* out) const {
    for (int64_t o = 0; o < y_.c; o += 16) {
      float u[kPoints * 16], g[9 * 16];
      for (int64_t p = 0; p < kPoints; ++p)
        for (int64_t j = 0; j < 16; ++j) {
          const float* at = base + p * StepSum() + c * y_.c + o + j;
          float s = *at;
          for (int q = 1; q < parts_; ++q) s += at[static_cast<size_t>(q) * PartFloats()];
          u[p * 16 + j] = s;
        }
      TransformKernelsBack(u, 16, g);
      for (int64_t j = 0; j < 16; ++j)
        for (int64_t k = 0; k < 9; ++k) out[((o + j) * x_.c + c) * 9 + k] = g[k * 16 + j];
    }
  }

  Image x_, y_;
  int threads_, vectors_;
  bool together_;
  int parts_;
  int64_t chunk_;
};

class Weight : public Kernel {
 public:
  Weight(const Shape& w, ConvKind kind, int threads) : w_(w), kind_(kind), threads_(threads) {}
  void Run(const KernelArgs& args) override {
    TransformWeight(static_cast<const float*>(args.in[0]), w_, kind_, threads_, static_cast<float*>(args.out[0]));
  }

 private:
  Shape w_;
  ConvKind kind_;
  int threads_;
};

template <class E>
std::unique_ptr<Kernel> Make(const ConvSpec& s, int threads) {
  switch (s.kind) {
    case ConvKind::kForward: return std::make_unique<Forward<E>>(s, s.x, s.y, threads);
    case ConvKind::kInput: return std::make_unique<Forward<E>>(s, s.y, s.x, threads);
    case ConvKind::kWeight: break;
  }
  return std::make_unique<ByWeight<E>>(s.x, s.y, threads);
}

}  // namespace

bool WinogradCan(const ConvSpec& s) {
  for (int i = 0; i < 2; ++i)
    if (s.w[2 + i] != 3 || s.attrs.stride[i] != 1 || s.attrs.dilation[i] != 1 || s.attrs.pad[i] != 1) return false;
  return s.attrs.groups == 1 && s.x[1] % 16 == 0 && s.y[1] % 16 == 0;
}

std::unique_ptr<Kernel> MakeWinograd(const ConvSpec& s, int threads) {
  return s.bf16 ? Make<uint16_t>(s, threads) : Make<float>(s, threads);
}

std::unique_ptr<Kernel> MakeWinogradWeight(const Shape& w, ConvKind kind, int threads) {
  return std::make_unique<Weight>(w, kind, w.elements() < 4096 ? 1 : threads);
}

size_t WinogradWeightBytes(const Shape& w) { return static_cast<size_t>(w[0] * w[1] * kPoints) * sizeof(float); }

}  // namespace distil::onednn
