// RKD: Park, Kim, Lu, Cho, "Relational Knowledge Distillation", CVPR 2019, arXiv 1904.05068.
//
//   d_ij = ||x_i - x_j|| / mean of the positive ones          L_D = mean over [n,n] of smoothL1(d_s - d_t)
//   psi_ijk = cos of the angle at x_i from x_j to x_k         L_A = mean over [n,n,n] of smoothL1(psi_s - psi_t)
//   L_RKD = distance L_D + angle L_A                          x: pooled vectors [n,d], widths may differ
//
// The student's mean distance is differentiated. Entries of equal points (i = j, i = k, identical samples) are 0 on both
// sides and stay in the means. Angles come from the Gram matrix of the centred batch, so there is no [n,n,d] tensor:
//   psi_ijk = (G_jk - G_ij - G_ik + G_ii) / (|x_i - x_j| |x_i - x_k|)
// Defaults: weight 1, distance 25, angle 50 (paper, RepDistiller). Departure, RepDistiller's: pooled vectors are compared
// as they are, where the paper's metric-learning experiments normalise embeddings.
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the term (RepDistiller)", "[0,inf)"},
    {"distance", "25", "factor of the distances (paper)", "[0,inf)"},
    {"angle", "50", "factor of the angles (paper)", "[0,inf)"},
};

// Relations do not change with the origin; near it, differences of squares lose fewer digits.
Expr Centred(Expr x) { return x - StopGradient(Mean(x, {0})); }

Expr Distances(Expr x) {
  Expr d = PairwiseDistance(x), count = SumAll(Greater(d, 0.0)), sum = SumAll(d);
  return d * Select(Greater(count, 0.0), count, 1.0) / Select(Greater(sum, 0.0), sum, 1.0);
}

Expr Angles(Expr x) {  // [n,n,n]
  const int64_t n = x.dim(0);
  Expr G = Gram(x), d = PairwiseDistance(x);
  Expr squares = Reshape(Sum(Square(x), {1}), {n, 1, 1});
  Expr dot = Reshape(G, {1, n, n}) - Reshape(G, {n, n, 1}) - Reshape(G, {n, 1, n}) + squares;
  Expr apart = Greater(d, 0.0);
  Expr inverse = Select(apart, 1.0 / Select(apart, d, 1.0), 0.0);
  return dot * Reshape(inverse, {n, n, 1}) * Reshape(inverse, {n, 1, n});
}

Expr Loss(Pair& p) {
  Expr t = Centred(p.t.pooled), s = Centred(p.s.pooled);
  Expr loss = Constant(p.labels.graph(), 0);
  if (p["distance"] > 0) loss = loss + p["distance"] * MeanAll(SmoothL1(Distances(s) - Distances(t)));
  if (p["angle"] > 0) loss = loss + p["angle"] * MeanAll(SmoothL1(Angles(s) - Angles(t)));
  return loss;
}

}  // namespace

extern const Method kRkd = {
    .name = "rkd",
    .title = "Relational knowledge distillation",
    .source = "Park et al., CVPR 2019",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
};

}  // namespace distil
