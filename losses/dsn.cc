// DSN: Lee, Xie, Gallagher, Zhang, Tu, "Deeply-Supervised Nets", AISTATS 2015, arXiv 1409.5185.
//
//   L_DSN = sum over heads l of CE(z_l, y)                                                     z_l: [n,K], heads.h
//
// beside the student's own cross-entropy; label smoothing is that of `ce.smoothing`. No teacher.
// Default: weight 1, every stage but the last.
// Departures from the paper, as in "Deeply-Supervised Knowledge Distillation" (Luo et al., arXiv 2202.07846), which
// tabulates DSN: cross-entropy instead of squared hinge losses, without a threshold and without decay over the epochs;
// heads are copies of the student's own following stages instead of one linear layer.
#include "losses/common.h"
#include "losses/heads.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the heads' cross-entropy (unsaid by the paper that tabulates it)", "[0,inf)"},
    kHeadsOption,
};

Expr Loss(Pair& p) {
  Expr sum = Constant(p.labels.graph(), 0);
  for (const Head& h : Heads(p)) sum = sum + CrossEntropy(h.f.logits, p.labels, p["ce.smoothing"]);
  return sum;
}

std::string Check(const Features&, const Features& s, const MethodOptions& o) { return CannotHead(s, o); }

}  // namespace

extern const Method kDsn = {
    .name = "dsn",
    .title = "Deeply-supervised nets",
    .source = "Lee et al., AISTATS 2015",
    .teacher = false,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
