// SP: Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, arXiv 1907.09682.
//
//   G(f) = rownorm(X X'),  X = f as [n,chw]                       f: [n,c,h,w], last stage
//   L_SP = 1/n^2 || G(f_t) - G(f_s) ||_F^2
//
// Defaults: weight 3000, last stage only (the paper's gamma; RepDistiller). Rows are normalised with norms of at least
// 1e-12. Sizes of the two networks' maps need not agree.
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "3000", "factor of the term, gamma (paper, RepDistiller)", "[0,inf)"},
};

Expr G(Expr f) { return L2Normalize(Gram(Flatten(f)), {1}); }  // [n,n]

Expr Loss(Pair& p) { return MeanSquare(G(p.t.taps.back().post), G(p.s.taps.back().post)); }

std::string Check(const Features& t, const Features& s, const MethodOptions&) { return CannotFindStages(t, s); }

}  // namespace

extern const Method kSp = {
    .name = "sp",
    .title = "Similarity-preserving distillation",
    .source = "Tung and Mori, ICCV 2019",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
