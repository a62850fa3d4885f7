// NormKD: Chi, Zheng, Li, Yang, Wu, Lin, Cai, "NormKD: Normalized Logits for Knowledge Distillation", 2023,
// arXiv 2308.00520.
//
//   tau = N std(z) for each sample and each network, std over the classes with divisor K - 1           z: [n,K]
//   L_NormKD = mean over samples of tau_t^2 KL( softmax(z_t / tau_t) || softmax(z_s / tau_s) )
//
// Gradient flows through the student's own tau, so its term does not change when its logits are scaled. std is at least
// 1e-7, for logits that are all equal. Defaults: N = 2, and weight 0.9, to be used with ce=0.1 (the authors' code for
// CIFAR-100).
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "0.9", "factor of the term, beside ce=0.1 (authors' code)", "[0,inf)"},
    {"N", "2", "temperature in standard deviations (authors' code)", "(0,inf)"},
};

Expr Deviation(Expr z) {  // [n,1]
  Expr centred = z - Mean(z, {1});
  Expr variance = Sum(Square(centred), {1}) / static_cast<double>(z.dim(1) - 1);
  return Max(SafeSqrt(variance), 1e-7);
}

Expr Loss(Pair& p) {
  Expr tau_t = p["N"] * Deviation(p.t.logits), tau_s = p["N"] * Deviation(p.s.logits);
  return MeanAll(Square(tau_t) * KlPerSample(p.t.logits / tau_t, p.s.logits / tau_s, 1));
}

std::string Check(const Features& t, const Features& s, const MethodOptions&) {
  if (s.logits.dim(1) < 2) return "a standard deviation over classes needs two of them";
  return CannotCompareClasses(t, s);
}

}  // namespace

extern const Method kNormkd = {
    .name = "normkd",
    .title = "Normalised logits",
    .source = "Chi et al., 2023",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
