// CC: Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019,
// arXiv 1904.01802.
//
//   e = linear map of the pooled vector x to `width` numbers, one map for each network, both trained     e: [n,width]
//   L_CC = 1/(n-1) sum_{i<n} sum_d delta_id delta_{i+1,d},  delta = |e_s - e_t|                           form=code
//   L_CC = 1/n^2 || K_s - K_t ||_F^2,  K_ij = exp(-2 gamma) sum_{q=0..2} (2 gamma)^q / q! <u_i, u_j>^q    form=paper
//
// u = e / ||e||: the Gaussian kernel exp(-gamma ||u_i - u_j||^2) to second order. The form of the authors' code, which
// RepDistiller has, is the default: it multiplies the differences of neighbours in the batch and thus depends on its
// order; a batch of one gives 0. Defaults: weight 0.02, width 128 (RepDistiller); form=paper: gamma 0.4 (paper), with a
// weight of 0.003 in the authors' experiments.
// Both maps may shrink to zero together, which only cross-entropy on the student holds off.
#include <cmath>

#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "0.02", "factor of the term (RepDistiller)", "[0,inf)"},
    {"width", "128", "width of the embeddings (RepDistiller)", "whole [1,65536]"},
    {"form", "code", "neighbours' differences of the authors' code, or the paper's kernel matrices", "code|paper"},
    {"gamma", "0.4", "of the kernel, form=paper (paper)", "(0,inf)"},
};

Expr Kernel(Expr e, double gamma) {
  Expr dot = Gram(L2Normalize(e, {1}));
  return std::exp(-2 * gamma) * (1 + 2 * gamma * dot + 2 * gamma * gamma * Square(dot));
}

Expr Loss(Pair& p) {
  const auto width = static_cast<int64_t>(p["width"]);
  Expr e_t = p.aux.Linear("embed_t", p.t.pooled, width), e_s = p.aux.Linear("embed_s", p.s.pooled, width);
  if (p.text("form") == "paper") return MeanSquare(Kernel(e_s, p["gamma"]), Kernel(e_t, p["gamma"]));
  const int64_t pairs = p.batch - 1;
  if (pairs < 1) return Constant(p.labels.graph(), 0);
  Expr delta = Abs(e_s - e_t);
  return SumAll(Slice(delta, 0, 0, pairs) * Slice(delta, 0, 1, pairs)) / static_cast<double>(pairs);
}

}  // namespace

extern const Method kCc = {
    .name = "cc",
    .title = "Correlation congruence",
    .source = "Peng et al., ICCV 2019",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
};

}  // namespace distil
