#include "lib/backend/onednn/rows.h"

#include <omp.h>

#include <algorithm>

#include "lib/backend/onednn/rows_ops.h"

namespace distil::onednn {
namespace {

class Rows : public Kernel {
 public:
  Rows(const ConvSpec& s, int threads)
      : n_(s.y[0]),
        c_(s.x[1]),
        h_(s.x[2]),
        w_(s.x[3]),
        o_(s.y[1]),
        rows_(s.y[2]),
        columns_(s.y[3]),
        stride_(static_cast<int>(s.attrs.stride[0])),
        vectors_(o_ % 32 == 0 ? 2 : 1),
        parts_(static_cast<int>(std::min<int64_t>(n_ * rows_, threads))),
        bias_(s.attrs.bias != 0),
        residual_(s.attrs.residual != 0),
        relu_(s.attrs.relu != 0) {}

  bool MayAlias(int in, int) const override { return residual_ && in == Residual(); }

  void Run(const KernelArgs& args) override {
#pragma omp parallel for schedule(static, 1) num_threads(parts_)
    for (int p = 0; p < parts_; ++p) {
      const int64_t end = n_ * rows_ * (p + 1) / parts_;
      for (int64_t row = n_ * rows_ * p / parts_; row < end;) {
        const int64_t image = row / rows_, rest = std::min(rows_, row % rows_ + end - row);
        Part(args, image, row % rows_, rest);
        row = image * rows_ + rest;
      }
    }
  }

 private:
  int Residual() const { return 2 + static_cast<int>(bias_); }

  // The rows `first` to `end` of an image.
  void Part(const KernelArgs& args, int64_t image, int64_t first, int64_t end) const {
    const auto* bias = bias_ ? static_cast<const float*>(args.in[2]) : nullptr;
    const auto* residual = residual_ ? static_cast<const float*>(args.in[Residual()]) : nullptr;
    const int64_t runs = (columns_ + rows::kPixels - 1) / rows::kPixels;
    rows::Run r{};
    r.x_row = w_ * 16, r.x_block = h_ * w_ * 16, r.x_blocks = c_ / 16;
    r.w_block = c_ * 9 * 16, r.y_block = rows_ * columns_ * 16;
    r.relu = relu_;
    for (int64_t o = 0; o < o_; o += 16 * vectors_) {
      r.w = static_cast<const float*>(args.in[1]) + o * c_ * 9;
      r.bias = bias ? bias + o : nullptr;
      for (int64_t row = first; row < end; ++row) {
        const int64_t top = row * stride_ - 1;  // in x
        r.first_row = top < 0, r.end_row = static_cast<int>(std::min<int64_t>(3, h_ - top));
        for (int64_t i = 0; i < runs; ++i) {
          const int64_t left = columns_ * i / runs, right = columns_ * (i + 1) / runs;
          r.left = left == 0, r.right = (right - 1) * stride_ + 1 == w_;
          r.x = static_cast<const float*>(args.in[0]) + (image * c_ * h_ + (top + r.first_row) * 16) * w_ +
                left * stride_ * 16;
          const int64_t y = ((image * o_ * rows_) + row * 16) * columns_ + left * 16 + o * rows_ * columns_;
          r.y = static_cast<float*>(args.out[0]) + y;
          r.residual = residual ? residual + y : nullptr;
          rows::Convolve(static_cast<int>(right - left), vectors_, stride_, r);
        }
      }
    }
  }

  int64_t n_, c_, h_, w_, o_, rows_, columns_;
  int stride_, vectors_, parts_;
  bool bias_, residual_, relu_;
};

}  // namespace

bool RowsCan(const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  for (int i = 0; i < 2; ++i)
    if (s.w[2 + i] != 3 || a.dilation[i] != 1 || a.pad[i] != 1) return false;
  const int64_t most = s.kind == ConvKind::kForward ? 2 : s.kind == ConvKind::kInput ? 1 : 0;
  return !s.bf16 && a.groups == 1 && a.stride[0] == a.stride[1] && a.stride[0] <= most && s.x[1] % 16 == 0 &&
         s.y[1] % 16 == 0;
}

std::unique_ptr<Kernel> MakeRows(const ConvSpec& s, int threads) {
  return std::make_unique<Rows>(s.kind == ConvKind::kInput ? Turned(s) : s, threads);
}

}  // namespace distil::onednn
