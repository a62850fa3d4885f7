// PKT: Passalis and Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018,
// arXiv 1803.10837.
//
//   c_ij = (1 + cos(x_i, x_j)) / 2,  P = C with rows that sum to 1                   x: pooled vectors [n,d]
//   L_PKT = mean over [n,n] of P_t log( (P_t + eps) / (P_s + eps) )
//
// cos divides by ||x|| + eps, eps = 1e-7; the diagonal is in. Widths may differ. Default: weight 30000 (RepDistiller, where
// the mean over all n^2 entries makes it that large). Departure, RepDistiller's: the term is added to cross-entropy; the
// paper transfers first and fits a classifier afterwards.
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr double kEps = 1e-7;

constexpr OptionSpec kOptions[] = {
    {"weight", "30000", "factor of the term (RepDistiller)", "[0,inf)"},
};

Expr P(Expr x) {  // [n,n]
  Expr unit = x / (SafeSqrt(Sum(Square(x), {1})) + kEps);
  Expr c = (Gram(unit) + 1) / 2;
  return c / Sum(c, {1});
}

Expr Loss(Pair& p) {
  Expr P_t = P(p.t.pooled), P_s = P(p.s.pooled);
  return MeanAll(P_t * Log((P_t + kEps) / (P_s + kEps)));
}

}  // namespace

extern const Method kPkt = {
    .name = "pkt",
    .title = "Probabilistic knowledge transfer",
    .source = "Passalis and Tefas, ECCV 2018",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
};

}  // namespace distil
