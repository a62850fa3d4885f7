// AT: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017, arXiv 1612.03928.
//
//   Q(f) = mean_c |f|^p as [n,hw],   q = Q / ||Q||_2 per sample                     f: [n,c,h,w], stages 1..K
//   L_AT = sum over stages of mean over [n,hw] of (q_s - q_t)^2                      form=code
//   L_AT = 1/2 sum over stages of mean over [n] of || q_s - q_t ||_2                 form=paper
//
// The form of the authors' code is the default, as everywhere in the literature; its mean over pixels is why the weight
// is as large as 1000 (RepDistiller; p = 2). Where two maps differ in size, the larger is averaged to the smaller
// first, as in RepDistiller, over windows that overlap where the sizes are no multiples. Networks with different numbers
// of stages are refused unless pairs=common, which is what RepDistiller does without a word.
#include <algorithm>

#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1000", "factor of the term (authors' code, RepDistiller)", "[0,inf)"},
    {"p", "2", "power of the activations (authors' code)", "[1,inf)"},
    {"form", "code", "squared mean of the authors' code, or the norm of the paper's eq. 2", "code|paper"},
    kPairsOption,
};

Expr Attention(Expr f, double p) {
  Expr power = p == 2 ? Square(f) : Pow(Abs(f), p);
  return L2Normalize(Flatten(Mean(power, {1})), {1});  // [n,hw]
}

Expr Loss(Pair& p) {
  Expr sum = Constant(p.labels.graph(), 0);
  for (size_t i = 1; i < std::min(p.t.taps.size(), p.s.taps.size()); ++i) {
    Expr f_t = p.t.taps[i].post, f_s = p.s.taps[i].post;
    PoolToSmaller(&f_t, &f_s);
    Expr d = Attention(f_s, p["p"]) - Attention(f_t, p["p"]);
    sum = sum + (p.text("form") == "code" ? MeanAll(Square(d)) : 0.5 * MeanAll(SafeSqrt(Sum(Square(d), {1}))));
  }
  return sum;
}

std::string Check(const Features& t, const Features& s, const MethodOptions& o) {
  return CannotPairStages(t, s, o, "at", /*whole=*/false);
}

}  // namespace

extern const Method kAt = {
    .name = "at",
    .title = "Attention transfer",
    .source = "Zagoruyko and Komodakis, ICLR 2017",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
