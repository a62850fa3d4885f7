#include "losses/common.h"

#include <algorithm>

namespace distil {
namespace {

constexpr char kNeedMaps[] = "both networks need feature maps [n,c,h,w] there";

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

std::string CannotPool(const Shape& f, const Shape& g) {
  if (f.rank() != 4 || g.rank() != 4) return kNeedMaps;
  auto whole = [](int64_t a, int64_t b) { return a % b == 0 || b % a == 0; };
  if (whole(f[2], g[2]) && whole(f[3], g[3])) return "";
  return "maps " + f.ToString() + " and " + g.ToString() +
         " cannot be averaged to one size: the sides of one must be whole multiples of the other's";
}

std::string CannotFindStages(const Features& t, const Features& s) {
  if (t.taps.size() >= 2 && s.taps.size() >= 2) return "";
  return std::string("the ") + (t.taps.size() < 2 ? "teacher" : "student") + " has no stages to compare";
}

std::string CannotMatchStages(const Features& t, const Features& s) {
  if (std::string why = CannotFindStages(t, s); !why.empty() || t.taps.size() == s.taps.size()) return why;
  return "the teacher has " + std::to_string(t.taps.size() - 1) + " stages and the student " +
         std::to_string(s.taps.size() - 1);
}

std::string CannotPairStages(const Features& t, const Features& s, const MethodOptions& o, const std::string& method,
                             bool whole) {
  if (std::string why = CannotFindStages(t, s); !why.empty()) return why;
  if (std::string why = CannotMatchStages(t, s); !why.empty() && o.text("pairs") != "common")
    return why + "; " + method + ".pairs=common compares those that both have";
  for (size_t i = 1; i < std::min(t.taps.size(), s.taps.size()); ++i) {
    const Shape &f = t.taps[i].post.shape(), &g = s.taps[i].post.shape();
    const std::string why = whole || f.rank() != 4 || g.rank() != 4 ? CannotPool(f, g) : "";
    if (!why.empty()) return "stage " + std::to_string(i) + ": " + why;
  }
  return "";
}

std::string CannotCompareClasses(const Features& t, const Features& s) {
  if (t.logits.dim(1) == s.logits.dim(1)) return "";
  return "the teacher has " + std::to_string(t.logits.dim(1)) + " classes and the student " +
         std::to_string(s.logits.dim(1));
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
  if (f.rank() != 4 || target.rank() != 4) return kNeedMaps;
  if (ResizeOf(f, target) != Resize::kNone) return "";
  return "a map " + f.ToString() + " cannot be brought to the size of " + target.ToString() +
         ": its sides must be twice, half, or equally many pixels more than the other's";
}

}  // namespace distil
