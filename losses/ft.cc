// FT: Kim, Park, Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018,
// arXiv 1802.04977.
//
//   Phase "paraphraser", `epochs` long: an auto-encoder of the teacher's last map learns L_rec = mean (D(E(f_t)) - f_t)^2
//     (mode=paper: mean |D(E(f_t)) - f_t|).  E: 3x3 convolutions C -> C -> m -> m;  D: transposed ones m -> m -> C -> C
//   Then beside cross-entropy, E frozen:  F_t = E(f_t),  F_s = T(f_s),  T: 3x3 convolutions c -> c -> m -> m, trained
//     mode=crd:    phi(F) = A / ||A||_2 per sample with A = mean over channels of F^2, [n,hw]
//     mode=paper:  phi(F) = F / ||F||_2 per sample, [n,mhw]
//     L_FT = mean | phi(F_s) - phi(F_t) |^p
//
// f: [n,c,h,w], last stage, post; m = floor(rate C). Every layer, the decoder's last one too, ends in LeakyReLU of slope
// 0.1; T has batch norm in mode=crd. Where factors differ in size, the larger is averaged to the smaller.
// Defaults: mode=crd (RepDistiller) with weight 200, 30 epochs at rate 0.01, p = 1, rate 0.5. The authors have
// mode=paper with weight 500, 5 epochs at rate 0.1. RepDistiller trains the paraphraser at 0.01 for ResNet and WRN
// students only and else at the student's rate; here it is one option. Its other settings are the run's, rate constant.
#include <algorithm>

#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "200", "factor of the term (RepDistiller; authors: 500 with mode=paper)", "[0,inf)"},
    {"mode", "crd", "RepDistiller's factors, or the paper's", "crd|paper"},
    {"p", "1", "power of the difference (paper, RepDistiller)", "1|2"},
    {"rate", "0.5", "channels of a factor over those of the teacher's map (paper)", "(0,1]"},
    {"epochs", "30", "length of the paraphraser's phase (RepDistiller; authors: 5)", "(0,inf)"},
    {"paraphraser_lr", "0.01", "learning rate of the paraphraser (RepDistiller; authors: 0.1)", "(0,1e6]"},
};

constexpr char kParaphraser[] = "ft_paraphraser";

Expr Leaky(Expr x) { return Select(Greater(x, 0.0), x, 0.1 * x); }

int64_t FactorWidth(double rate, int64_t channels) {
  return std::max<int64_t>(1, static_cast<int64_t>(rate * static_cast<double>(channels)));
}

Expr Encode(Layers l, Expr f, double rate) {
  const int64_t c = f.dim(1), m = FactorWidth(rate, c);
  f = Leaky(l.Conv("encoder1", f, c, 3, {.bias = true}));
  f = Leaky(l.Conv("encoder2", f, m, 3, {.bias = true}));
  return Leaky(l.Conv("encoder3", f, m, 3, {.bias = true}));
}

Expr Decode(Layers l, Expr factor, int64_t c) {
  const int64_t m = factor.dim(1);
  factor = Leaky(l.ConvTranspose("decoder1", factor, m, 3, {.bias = true}));
  factor = Leaky(l.ConvTranspose("decoder2", factor, c, 3, {.bias = true}));
  return Leaky(l.ConvTranspose("decoder3", factor, c, 3, {.bias = true}));
}

Expr Translate(Layers l, Expr f, int64_t m, bool norm) {
  const int64_t width[] = {f.dim(1), m, m};
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i + 1);
    f = l.Conv("conv" + n, f, width[i], 3, {.bias = true});
    f = Leaky(norm ? l.BatchNorm("bn" + n, f) : f);
  }
  return f;
}

Expr Loss(Pair& p) {
  const bool crd = p.text("mode") == "crd";
  Expr f_t = p.t.taps.back().post;
  Expr F_t = StopGradient(Encode(p.step->Aux(kParaphraser, StepBuilder::kFrozen), f_t, p["rate"]));
  Expr F_s = Translate(p.aux, p.s.taps.back().post, F_t.dim(1), crd);
  PoolToSmaller(&F_t, &F_s);
  auto phi = [&](Expr F) { return L2Normalize(Flatten(crd ? Mean(Square(F), {1}) : F), {1}); };
  Expr d = phi(F_s) - phi(F_t);
  return MeanAll(p["p"] == 2 ? Square(d) : Abs(d));
}

std::string Check(const Features& t, const Features& s, const MethodOptions&) {
  if (std::string why = CannotFindStages(t, s); !why.empty()) return why;
  return CannotPool(t.taps.back().post.shape(), s.taps.back().post.shape());
}

std::vector<Phase> Before(const MethodOptions& o) {
  Phase phase;
  phase.name = "paraphraser";
  phase.epochs = o.number("epochs");
  phase.training = {{"schedule", "constant"}, {"lr", o.text("paraphraser_lr")}};
  phase.evaluate = {};  // the student has not begun
  phase.steps = {[o](StepBuilder& b) {
    Features t = b.Forward("teacher", StepBuilder::kFrozen, b.images());
    if (!b.graph()->ok()) return;
    Expr f_t = t.taps.back().post;
    Layers l = b.Aux(kParaphraser);
    Expr d = Decode(l, Encode(l, f_t, o.number("rate")), f_t.dim(1)) - f_t;
    Expr loss = MeanAll(o.text("mode") == "crd" ? Square(d) : Abs(d));
    b.Term("ft_reconstruction", loss);
    b.Minimize(loss, b.AuxParameters(kParaphraser));
  }};
  return {phase};
}

}  // namespace

extern const Method kFt = {
    .name = "ft",
    .title = "Factor transfer",
    .source = "Kim, Park, Kwak, NeurIPS 2018",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
    .before = Before,
};

}  // namespace distil
