// BYOT: Zhang, Song, Gao, Chen, Bao, Ma, "Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks
// via Self Distillation", ICCV 2019, arXiv 1905.08094. The student's last classifier C teaches the heads l (heads.h).
//
//   L_BYOT = sum over l of  (1 - alpha) CE(z_l, y) + alpha H(z_C, z_l) + lambda D(F_l, F_C)     z: [n,K], F: [n,d]
//   H = - mean over n of sum_k softmax(z_C / tau)_k log softmax(z_l / tau)_k       no gradient into z_C and F_C
//   D = || A_l(F_l) - F_C ||_F over the whole batch, A_l linear                                  variant=journal
//   D = 1/n sum over n of || F_l - F_C ||_2^2                                                    variant=conference
//
// F is what the classifier reads (pooled). The last classifier's own cross-entropy is the term `ce`. No teacher.
// Defaults: alpha 0.3, lambda 0.03, tau 3, variant=journal: the release of the authors' journal version (the conference
// paper gives no values; its lambda needs tuning, 1e-3 to 3e-2 is a range to try).
// Departures: heads are copies of the student's own following stages, as in "Deeply-Supervised Knowledge Distillation"
// (Luo et al., arXiv 2202.07846, which tabulates BYOT), where the authors have bottlenecks; A_l is there for every head,
// where the release leaves one out; no factor tau^2 on H, as in the release; no augmentation of its own.
#include "losses/common.h"
#include "losses/heads.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the term", "[0,inf)"},
    {"alpha", "0.3", "share of the last classifier's prediction, the rest is the labels' (authors' release)", "[0,1]"},
    {"lambda", "0.03", "factor of the feature distance (authors' release)", "[0,inf)"},
    {"tau", "3", "temperature (authors' release)", "(0,inf)"},
    {"variant", "journal", "feature distance of the authors' release, or of the paper", "journal|conference"},
    kHeadsOption,
};

Expr Loss(Pair& p) {
  const double alpha = p["alpha"], lambda = p["lambda"], tau = p["tau"];
  Expr q = Softmax(StopGradient(p.s.logits) / tau), F_C = StopGradient(p.s.pooled);
  Expr sum = Constant(p.labels.graph(), 0);
  for (const Head& h : Heads(p)) {
    Expr H = -MeanAll(Sum(q * LogSoftmax(h.f.logits / tau), {1}));
    sum = sum + (1 - alpha) * CrossEntropy(h.f.logits, p.labels, p["ce.smoothing"]) + alpha * H;
    if (lambda == 0) continue;
    Expr F = h.f.pooled, D;
    if (p.text("variant") == "journal") {
      F = p.aux.Linear("adapt" + std::to_string(h.stage), F, F_C.dim(1));
      D = SafeSqrt(SumAll(Square(F - F_C)));
    } else {
      D = MeanAll(Sum(Square(F - F_C), {1}));
    }
    sum = sum + lambda * D;
  }
  return sum;
}

std::string Check(const Features&, const Features& s, const MethodOptions& o) { return CannotHead(s, o); }

}  // namespace

extern const Method kByot = {
    .name = "byot",
    .title = "Be your own teacher (self distillation)",
    .source = "Zhang et al., ICCV 2019",
    .teacher = false,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
