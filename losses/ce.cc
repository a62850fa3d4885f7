// CE: cross-entropy with the labels, the term that every run has.
//
//   L_CE = -1/n sum_b sum_k q_bk log softmax(z_b)_k,   q_b = (1 - eps) onehot(y_b) + eps / K       z: [n,K]
//
// Label smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, in PyTorch's
// definition, which spreads eps over all K classes, the right one included.
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of cross-entropy; RepDistiller uses 0.1 beside KD", "[0,inf)"},
    {"smoothing", "0", "label smoothing eps", "[0,1)"},
};

Expr Loss(Pair& p) { return CrossEntropy(p.s.logits, p.labels, p["smoothing"]); }

}  // namespace

extern const Method kCe = {
    .name = "ce",
    .title = "Cross-entropy",
    .source = "labels alone; smoothing: Szegedy et al., CVPR 2016",
    .teacher = false,
    .options = kOptions,
    .loss = Loss,
};

}  // namespace distil
