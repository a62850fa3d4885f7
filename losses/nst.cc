// NST: Huang and Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, arXiv 1707.01219.
//
//   u_c = f_c / ||f_c||_2 for each channel c, a vector over hw;  k(a, b) = <a, b>^2           f: [n,c,h,w], stages 1..K
//   L_NST = sum over stages of  mean k(u_t, u_t') + mean k(u_s, u_s') - 2 mean k(u_s, u_t)
//
// Means over the batch and both channel numbers: the squared maximum mean discrepancy of the channels under the
// polynomial kernel of degree 2, through [n,c,c'] products. Where two maps differ in size, the larger is averaged to the
// smaller first (RepDistiller; the paper interpolates). The teacher's constant part stays in the value.
// Default: weight 50 (RepDistiller).
#include <algorithm>

#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "50", "factor of the term (RepDistiller)", "[0,inf)"},
    kPairsOption,
};

Expr Channels(Expr f) { return L2Normalize(Reshape(f, {f.dim(0), f.dim(1), f.dim(2) * f.dim(3)}), {2}); }

Expr MeanKernel(Expr a, Expr b) { return MeanAll(Square(MatMul(a, b, false, true))); }

Expr Loss(Pair& p) {
  Expr sum = Constant(p.labels.graph(), 0);
  for (size_t i = 1; i < std::min(p.t.taps.size(), p.s.taps.size()); ++i) {
    Expr f_t = p.t.taps[i].post, f_s = p.s.taps[i].post;
    PoolToSmaller(&f_t, &f_s);
    Expr t = Channels(f_t), s = Channels(f_s);
    sum = sum + MeanKernel(t, t) + MeanKernel(s, s) - 2 * MeanKernel(s, t);
  }
  return sum;
}

std::string Check(const Features& t, const Features& s, const MethodOptions& o) {
  return CannotPairStages(t, s, o, "nst");
}

}  // namespace

extern const Method kNst = {
    .name = "nst",
    .title = "Neuron selectivity transfer",
    .source = "Huang and Wang, 2017",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
