// DKS: Sun, Yao, Zhou, Zhao, "Deeply-Supervised Knowledge Synergy", CVPR 2019, arXiv 1906.00675.
//
//   L_DKS = sum over heads l of CE(z_l, y)  +  sum over ordered pairs i != j of KL( softmax(z_j / T) || softmax(z_i / T) )
//
// z: [n,K] of the heads (heads.h) and of the student's own classifier, so L classifiers have L (L - 1) pairs, from deep
// to shallow and back; no gradient into the side j that teaches. The own classifier's cross-entropy is the term `ce`.
// No teacher. Defaults: weight 1 for all, T = 1 (paper).
// Departures: heads are copies of the student's own following stages, as in "Deeply-Supervised Knowledge Distillation"
// (Luo et al., arXiv 2202.07846, which tabulates DKS), where the authors thin or widen them; log-softmax instead of
// probabilities with 1e-8 added; label smoothing, where asked for, is also in the heads' cross-entropy.
#include "losses/common.h"
#include "losses/heads.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the term (paper)", "[0,inf)"},
    {"T", "1", "temperature of the pairs (paper)", "(0,inf)"},
    {"synergy", "1", "factor of the pairs within the term (paper); 0 leaves deep supervision by labels", "[0,inf)"},
    kHeadsOption,
};

Expr Loss(Pair& p) {
  std::vector<Expr> z;
  Expr sum = Constant(p.labels.graph(), 0);
  for (const Head& h : Heads(p)) {
    z.push_back(h.f.logits);
    sum = sum + CrossEntropy(h.f.logits, p.labels, p["ce.smoothing"]);
  }
  z.push_back(p.s.logits);
  if (p["synergy"] == 0) return sum;
  for (size_t i = 0; i < z.size(); ++i) {
    for (size_t j = 0; j < z.size(); ++j)
      if (i != j) sum = sum + p["synergy"] * Kl(StopGradient(z[j]), z[i], p["T"]);
  }
  return sum;
}

std::string Check(const Features&, const Features& s, const MethodOptions& o) { return CannotHead(s, o); }

}  // namespace

extern const Method kDks = {
    .name = "dks",
    .title = "Deeply-supervised knowledge synergy",
    .source = "Sun et al., CVPR 2019",
    .teacher = false,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
