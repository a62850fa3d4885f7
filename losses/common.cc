#include "losses/common.h"

#include <algorithm>

namespace distil {
namespace {

enum class Resize { kHalve, kDouble, kShrink, kNone };

Resize ResizeOf(const Shape& f, const Shape& target) {
  const int64_t h = f[2], w = f[3], th = target[2], tw = target[3];
  if (h == 2 * th && w == 2 * tw) return Resize::kHalve;
  if (2 * h == th && 2 * w == tw) return Resize::kDouble;
  if (h >= th && h - th == w - tw) return Resize::kShrink;
  return Resize::kNone;
}

}  // namespace

Expr CrossEntropy(Expr z, Expr labels, double smoothing) {
  Expr log_p = LogSoftmax(z);
  Expr loss = -PickLabel(log_p, labels);  // [n,1]
  if (smoothing > 0) loss = (1 - smoothing) * loss - smoothing * Mean(log_p, {1});
  return MeanAll(loss);
}

Expr KlPerSample(Expr target, Expr z, double T) {
  Expr log_t = LogSoftmax(target / T), log_s = LogSoftmax(z / T);
  return Sum(Exp(log_t) * (log_t - log_s), {1});
}

Expr Kl(Expr target, Expr z, double T) { return MeanAll(KlPerSample(target, z, T)); }

Expr MeanSquare(Expr a, Expr b) { return MeanAll(Square(a - b)); }

Expr SmoothL1(Expr e) {
  Expr size = Abs(e);
  return Select(Less(size, 1.0), 0.5 * Square(e), size - 0.5);
}

Expr SafeSqrt(Expr x) {
  Expr positive = Greater(x, 0.0);
  return Select(positive, Sqrt(Select(positive, x, 1.0)), 0.0);
}

Expr Gram(Expr x) { return MatMul(x, x, false, true); }

// |x_i - x_j|^2 = G_ii + G_jj - 2 G_ij. Rounding leaves something tiny, of either sign, on the diagonal.
Expr PairwiseDistance(Expr x) {
  Expr norms = Sum(Square(x), {1});                      // [n,1]
  Expr square = norms + Transpose(norms) - 2 * Gram(x);  // [n,n]
  Expr id = Iota(x.graph(), {1, x.dim(0)});
  return SafeSqrt(Select(Equal(id, Transpose(id)), 0.0, square));
}

void PoolToSmaller(Expr* f, Expr* g) {
  const int64_t h = std::min(f->dim(2), g->dim(2)), w = std::min(f->dim(3), g->dim(3));
  for (Expr* e : {f, g})
    if (e->dim(2) != h || e->dim(3) != w) *e = AdaptiveAvgPool(*e, h, w);
}

Expr Regress(Layers& l, Expr f, const Shape& target) {
  if (!f.valid()) return {};
  if (std::string why = CannotRegress(f.shape(), target); !why.empty()) {
    f.graph()->Fail(why);
    return {};
  }
  const int64_t channels = target[1];
  switch (ResizeOf(f.shape(), target)) {
    case Resize::kHalve: f = l.Conv("conv", f, channels, 3, {.stride = 2, .pad = 1, .bias = true}); break;
    case Resize::kDouble: f = l.ConvTranspose("conv", f, channels, 4, {.stride = 2, .pad = 1, .bias = true}); break;
    default: f = l.Conv("conv", f, channels, 1 + f.dim(2) - target[2], {.pad = 0, .bias = true});
  }
  return l.BatchNorm("bn", f);
}

std::string CannotRegress(const Shape& f, const Shape& target) {
  if (ResizeOf(f, target) != Resize::kNone) return "";
  return "a map " + f.ToString() + " cannot be brought to the size of " + target.ToString() +
         ": its sides must be twice, half, or equally many pixels more than the other's";
}

}  // namespace distil
