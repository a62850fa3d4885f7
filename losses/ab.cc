// AB: Heo, Lee, Yun, Choi, "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons",
// AAAI 2019, arXiv 1811.03233.
//
//   Phase "boundaries", `epochs` long: the student's stages learn on which side of zero the teacher's neurons are.
//     l = (s + m)^2 where t <= 0 and s > -m;  (s - m)^2 where t > 0 and s <= m;  else 0                     elementwise
//     L_AB = 3/1000 sum over stages i = 1..K of 2^(i-K) 1/n sum over [n,c,h,w] of l
//     t, s: taps before the activation, [n,c,h,w]; s through a connector (Regress in common.h) where shapes differ
//   Then ordinary training from there: cross-entropy, or what else the expression has.
//
// Connectors are trained in the first phase and dropped. Its rate is the run's first one, constant.
// Defaults: 30 epochs, margin m = 1; weight 0 of the term in the second phase (all RepDistiller). A weight above 0 keeps
// the boundaries there; the connectors then go on being trained.
// Departures, RepDistiller's: a connector's convolution has a bias and PyTorch's initialisation; the second phase is
// cross-entropy, where the authors have KD at temperature 3 (here: "kd+ab" with ce=0 kd.T=3).
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "0", "factor of the term after the first phase (RepDistiller)", "[0,inf)"},
    {"epochs", "30", "length of the first phase (RepDistiller)", "[0,inf)"},
    {"margin", "1", "margin m (paper, RepDistiller)", "(0,inf)"},
};

Expr Boundaries(const Features& t, const Features& s, Layers aux, double m) {
  Graph* g = aux.graph();
  Expr sum = Constant(g, 0);
  double factor = 3.0 / 1000;
  for (size_t i = t.taps.size() - 1; i >= 1 && g->ok(); --i, factor /= 2) {
    Expr f_t = t.taps[i].pre, f_s = s.taps[i].pre;
    Layers connector = aux.Scope("stage" + std::to_string(i));
    if (!(f_t.shape() == f_s.shape())) f_s = Regress(connector, f_s, f_t.shape());
    Expr on = Greater(f_t, 0.0);
    Expr too_low = Square(f_s - m) * (1.0 - Greater(f_s, m)), too_high = Square(f_s + m) * Greater(f_s, -m);
    sum = sum + factor * SumAll(Select(on, too_low, too_high)) / static_cast<double>(f_t.dim(0));
  }
  return sum;
}

// Where the weight is 0 the teacher is not even run.
Expr Loss(Pair& p) {
  if (p["weight"] == 0) return Constant(p.labels.graph(), 0);
  return Boundaries(p.t, p.s, p.aux, p["margin"]);
}

std::string Check(const Features& t, const Features& s, const MethodOptions&) {
  if (std::string why = CannotMatchStages(t, s); !why.empty()) return why;
  for (size_t i = 1; i < t.taps.size(); ++i) {
    if (std::string why = CannotRegress(s.taps[i].pre.shape(), t.taps[i].pre.shape()); !why.empty())
      return "stage " + std::to_string(i) + ": " + why;
  }
  return "";
}

std::vector<Phase> Before(const MethodOptions& o) {
  if (o.number("epochs") == 0) return {};
  Phase phase;
  phase.name = "boundaries";
  phase.epochs = o.number("epochs");
  phase.training = {{"schedule", "constant"}};
  phase.evaluate = {};  // the classifier has not learnt anything
  phase.steps = {[margin = o.number("margin")](StepBuilder& b) {
    Features t = b.Forward("teacher", StepBuilder::kFrozen, b.images());
    Features s = b.Forward("student", StepBuilder::kTrain, b.images());
    if (!b.graph()->ok()) return;
    Expr loss = Boundaries(t, s, b.Aux("ab"), margin);
    b.Term("ab", loss);
    std::vector<VariableRef> parameters = b.Parameters("student");
    for (const VariableRef& v : b.AuxParameters("ab")) parameters.push_back(v);
    b.Minimize(loss, parameters);
  }};
  return {phase};
}

}  // namespace

extern const Method kAb = {
    .name = "ab",
    .title = "Activation boundaries",
    .source = "Heo et al., AAAI 2019",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
    .before = Before,
};

}  // namespace distil
