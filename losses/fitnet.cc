// FitNet: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv 1412.6550.
//
//   L_hint = mean over [n,c,h,w] of ( R(f_s) - f_t )^2,   R = ReLU(BN(conv(f_s)))       f: [n,c,h,w], after stage 2
//
// R is trained with the student and dropped afterwards; its convolution follows the sizes (Regress in common.h).
// Defaults: weight 100 and stage 2, RepDistiller's setting.
// Departures from the paper, all RepDistiller's: hint and task are trained together in one phase instead of hint first;
// R ends in batch norm and ReLU. For a wide ResNet teacher, whose taps are signed, that leaves a floor.
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "100", "factor of the term (RepDistiller)", "[0,inf)"},
    {"stage", "2", "the stage of both networks that is compared (RepDistiller)", "whole [1,inf)"},
};

Expr Loss(Pair& p) {
  const auto stage = static_cast<size_t>(p["stage"]);
  Expr f_t = p.t.taps[stage].post, f_s = p.s.taps[stage].post;
  return MeanSquare(Relu(Regress(p.aux, f_s, f_t.shape())), f_t);
}

std::string Check(const Features& t, const Features& s, const MethodOptions& o) {
  const auto stage = static_cast<size_t>(o.number("stage"));
  if (stage >= t.taps.size()) return "the teacher has no stage " + std::to_string(stage);
  if (stage >= s.taps.size()) return "the student has no stage " + std::to_string(stage);
  return CannotRegress(s.taps[stage].post.shape(), t.taps[stage].post.shape());
}

}  // namespace

extern const Method kFitnet = {
    .name = "fitnet",
    .title = "Hints (FitNets)",
    .source = "Romero et al., ICLR 2015",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
