// FSP: Yim, Joo, Bae, Kim, "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer
// Learning", CVPR 2017.
//
//   G_i = 1/(hw) sum over pixels of f_i f_{i+1}'  for the taps i = 0..K-1, [n,c_i,c_{i+1}]            f: [n,c,h,w]
//   Phase "flow", `epochs` long: L_FSP = sum over i of mean over [n,c_i,c_{i+1}] of ( G_i,s - G_i,t )^2
//   Then ordinary training from there.
//
// The first phase trains all of the student but its classifier, with the run's first rate, constant. Where f_i and
// f_{i+1} differ in size, the larger is averaged to the smaller (RepDistiller; the paper takes maxima). Channels of the
// two networks must agree at every tap, sizes need not.
// Defaults: 30 epochs; weight 0 of the term in the second phase (RepDistiller).
// Departure, RepDistiller's: a mean over the matrix instead of its squared norm.
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "0", "factor of the term after the first phase (RepDistiller)", "[0,inf)"},
    {"epochs", "30", "length of the first phase (RepDistiller)", "[0,inf)"},
};

Expr Flow(Expr f, Expr g) {
  PoolToSmaller(&f, &g);
  const int64_t n = f.dim(0), pixels = f.dim(2) * f.dim(3);
  Expr rows = Reshape(f, {n, f.dim(1), pixels}), columns = Reshape(g, {n, g.dim(1), pixels});
  return MatMul(rows, columns, false, true) / static_cast<double>(pixels);
}

Expr Flows(const Features& t, const Features& s, Graph* g) {
  Expr sum = Constant(g, 0);
  for (size_t i = 0; i + 1 < t.taps.size() && g->ok(); ++i)
    sum = sum + MeanSquare(Flow(s.taps[i].post, s.taps[i + 1].post), Flow(t.taps[i].post, t.taps[i + 1].post));
  return sum;
}

Expr Loss(Pair& p) {
  if (p["weight"] == 0) return Constant(p.labels.graph(), 0);
  return Flows(p.t, p.s, p.labels.graph());
}

std::string Check(const Features& t, const Features& s, const MethodOptions&) {
  if (std::string why = CannotMatchStages(t, s); !why.empty()) return why;
  for (size_t i = 0; i < t.taps.size(); ++i) {
    const int64_t c_t = t.taps[i].post.dim(1), c_s = s.taps[i].post.dim(1);
    if (c_t != c_s)
      return "the teacher has " + std::to_string(c_t) + " channels at tap f" + std::to_string(i) + " and the student " +
             std::to_string(c_s) + ", but FSP matrices need equally many";
    for (const Features* f : {&t, &s}) {
      if (i == 0) continue;
      if (std::string why = CannotPool(f->taps[i - 1].post.shape(), f->taps[i].post.shape()); !why.empty()) return why;
    }
  }
  return "";
}

std::vector<Phase> Before(const MethodOptions& o) {
  if (o.number("epochs") == 0) return {};
  Phase phase;
  phase.name = "flow";
  phase.epochs = o.number("epochs");
  phase.training = {{"schedule", "constant"}};
  phase.evaluate = {};
  phase.steps = {[](StepBuilder& b) {
    Features t = b.Forward("teacher", StepBuilder::kFrozen, b.images());
    Features s = b.Forward("student", StepBuilder::kTrain, b.images());
    if (!b.graph()->ok()) return;
    Expr loss = Flows(t, s, b.graph());
    b.Term("fsp", loss);
    b.Minimize(loss, b.Parameters("student"));
  }};
  return {phase};
}

}  // namespace

extern const Method kFsp = {
    .name = "fsp",
    .title = "Flow of solution procedure",
    .source = "Yim et al., CVPR 2017",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
    .before = Before,
};

}  // namespace distil
