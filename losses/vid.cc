// VID: Ahn, Hu, Damianou, Lawrence, Dai, "Variational Information Distillation for Knowledge Transfer", CVPR 2019,
// arXiv 1904.05835.
//
//   L_VID = sum over stages of mean over [n,c,h,w] of 1/2 ( (mu(f_s) - f_t)^2 / v_c + log v_c )     f: [n,c,h,w]
//   mu = three 1x1 convolutions without bias, ReLU between them;   v_c = log(1 + exp rho_c) + eps,  one for each channel
//
// mu and rho are trained with the student (rho decays like every parameter) and dropped afterwards. The term may be
// negative. Where two maps differ in size, the larger is averaged to the smaller first.
// Defaults: weight 1, eps 1e-5, v_c = 5 at the start (RepDistiller).
// Departures from the paper, all RepDistiller's: mu is as wide as the teacher's map throughout and has no batch norm;
// maps of all stages are compared and the logits are not.
// mu has no norm, so large maps of the teacher make it diverge at the usual rate: under a wrn_40_2 after 20 steps, whose
// last maps have a root mean square of 25, the term became infinite within 40 steps at rate 0.05: here, and in PyTorch with
// two of three seeds. Under a trained resnet32 it did not.
#include <algorithm>
#include <cmath>

#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the term (RepDistiller)", "[0,inf)"},
    {"variance", "5", "variance of every channel at the start (RepDistiller)", "(0,inf)"},
    {"eps", "1e-5", "least variance (RepDistiller)", "(0,inf)"},
    kPairsOption,
};

Expr Loss(Pair& p) {
  const double eps = p["eps"], rho_0 = std::log(std::expm1(std::max(p["variance"] - eps, 1e-6)));
  Expr sum = Constant(p.labels.graph(), 0);
  for (size_t i = 1; i < std::min(p.t.taps.size(), p.s.taps.size()); ++i) {
    Expr f_t = p.t.taps[i].post, mu = p.s.taps[i].post;
    PoolToSmaller(&f_t, &mu);
    Layers l = p.aux.Scope("stage" + std::to_string(i));
    const int64_t c = f_t.dim(1);
    mu = Relu(l.Conv("conv1", mu, c, 1));
    mu = Relu(l.Conv("conv2", mu, c, 1));
    mu = l.Conv("conv3", mu, c, 1);
    Expr v = Reshape(Softplus(l.Param("rho", {c}, Init::Constant(rho_0))) + eps, {1, c, 1, 1});
    sum = sum + 0.5 * MeanAll(Square(mu - f_t) / v + Log(v));
  }
  return sum;
}

std::string Check(const Features& t, const Features& s, const MethodOptions& o) {
  return CannotPairStages(t, s, o, "vid");
}

}  // namespace

extern const Method kVid = {
    .name = "vid",
    .title = "Variational information distillation",
    .source = "Ahn et al., CVPR 2019",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
