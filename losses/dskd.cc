// DSKD: Luo, Chen, Wang, "Deeply-Supervised Knowledge Distillation", arXiv 2202.07846 (IJCNN 2023: "Knowledge
// Distillation with Deep Supervision"). The teacher teaches the student's classifier and one on every shallow stage.
//
//   k_l = KL( softmax(z_t / tau) || softmax(z_l / tau) ),  m_l = mean over [c,h,w] of ( F_t - r_l(F_l) )^2       [n] each
//   W_l = k_l / sum over heads j of k_j,   V_l = m_l / sum over heads j of m_j                                (eq. 7, 8)
//   L_KD = tau^2 mean over n of ( k_L + sum over heads of W_l k_l )                                           (eq. 1-3)
//   L_Fea =      mean over n of ( m_L + sum over heads of V_l m_l )                                           (eq. 4-6)
//   L_DSKD = alpha L_KD + beta L_Fea                                    (eq. 9, where cross-entropy is our term `ce`)
//
// z: [n,K]; F: [n,c,h,w], the map that global pooling reads, after the last activation; L: the student's own classifier;
// heads l: copies of its following stages (heads.h). r_l, one for each l: 1x1 convolution, batch norm, ReLU, after the
// larger of the two maps has been averaged to the smaller. Heads have no cross-entropy.
//
// The paper's tables are options:  Table 2: heads=none|1|2|12.  Table 3: beta=0 (no L_Fea), weights=equal (1 / heads).
// Figure 2: with histogram=B > 0 the terms "dskd.kd_w<l>.<i>" and "dskd.fea_w<l>.<i>" tell which share of the batch has
// a weight of stage l in [i/B, (i+1)/B), the last bin with its end; their means over an epoch are the distribution.
//
// Defaults: alpha 1, beta 30, tau 4 (paper). What the paper leaves open: weights are constants for the gradient
// (weight_grad=yes lets it through: it then pushes away heads whose loss is small, by eq. 7's quotient rule); r_l is
// there when dimensions agree, too (proj=auto drops it then).
// Departure: tau^2, which eq. 1 and 2 omit, is kept as in the CRD benchmark whose settings the paper uses.
#include <algorithm>

#include "losses/common.h"
#include "losses/heads.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the term", "[0,inf)"},
    {"alpha", "1", "factor of the class predictions (paper)", "[0,inf)"},
    {"beta", "30", "factor of the feature maps (paper); 0: without them (Table 3)", "[0,inf)"},
    {"tau", "4", "temperature (paper)", "(0,inf)"},
    kHeadsOrNoneOption,
    {"weights", "adaptive", "per sample by the heads' losses (paper), or equal (Table 3)", "adaptive|equal"},
    {"weight_grad", "no", "whether gradient flows through the weights (not said in the paper)", "no|yes"},
    {"proj", "always", "projection of feature maps: always, or where dimensions differ (not said)", "always|auto"},
    {"histogram", "0", "bins of the weights' distribution among the terms, 0: none (Figure 2)", "whole [0,1000]"},
};

void Histogram(Pair& p, const std::string& name, Expr weight) {
  const auto bins = static_cast<int>(p["histogram"]);
  Expr bin = Min(Floor(StopGradient(weight) * bins), bins - 1);
  for (int i = 0; i < bins; ++i) p.step->Term(name + "." + std::to_string(i), MeanAll(Equal(bin, i)));
}

// losses: [n,1] of each head, then the own classifier's. Their mean over the batch, heads weighted.
Expr Deep(Pair& p, const std::vector<Head>& heads, const std::vector<Expr>& losses, const std::string& name) {
  Expr per_sample = losses.back(), whole;
  for (size_t l = 0; l < heads.size(); ++l) {
    Expr share = Max(losses[l], 0);  // rounding can leave a KL slightly below zero
    whole = l ? whole + share : share;
  }
  for (size_t l = 0; l < heads.size(); ++l) {
    Expr W = Constant(p.labels.graph(), 1.0 / static_cast<double>(heads.size()));
    if (p.text("weights") == "adaptive") {
      W = Max(losses[l], 0) / (whole + 1e-12);
      if (p.text("weight_grad") == "no") W = StopGradient(W);
      if (p["histogram"] > 0) Histogram(p, "dskd." + name + "_w" + std::to_string(heads[l].stage), W);
    }
    per_sample = per_sample + W * losses[l];
  }
  return MeanAll(per_sample);
}

Expr MapLoss(Pair& p, const std::string& name, Expr F) {
  Expr F_t = p.t.map;
  PoolToSmaller(&F_t, &F);
  if (p.text("proj") == "always" || !(F.shape() == F_t.shape())) {
    Layers r = p.aux.Scope(name);
    F = Relu(r.BatchNorm("bn", r.Conv("conv", F, F_t.dim(1), 1, {.bias = true})));
  }
  return Mean(Flatten(Square(F_t - F)), {1});
}

Expr Loss(Pair& p) {
  const double alpha = p["alpha"], beta = p["beta"], tau = p["tau"];
  const std::vector<Head> heads = Heads(p);
  Expr loss = Constant(p.labels.graph(), 0);
  std::vector<Expr> k, m;
  if (alpha > 0) {
    for (const Head& h : heads) k.push_back(KlPerSample(p.t.logits, h.f.logits, tau));
    k.push_back(KlPerSample(p.t.logits, p.s.logits, tau));
    loss = loss + alpha * tau * tau * Deep(p, heads, k, "kd");
  }
  if (beta > 0) {
    for (const Head& h : heads) m.push_back(MapLoss(p, "proj" + std::to_string(h.stage), h.f.map));
    m.push_back(MapLoss(p, "proj", p.s.map));
    loss = loss + beta * Deep(p, heads, m, "fea");
  }
  return loss;
}

std::string Check(const Features& t, const Features& s, const MethodOptions& o) {
  if (std::string why = CannotHead(s, o); !why.empty()) return why;
  if (std::string why = CannotCompareClasses(t, s); !why.empty()) return why;
  if (o.number("beta") > 0 && !(t.map.valid() && s.map.valid()))
    return std::string("the ") + (t.map.valid() ? "student" : "teacher") + " has no feature maps to compare";
  return o.number("beta") > 0 ? CannotPool(t.map.shape(), s.map.shape()) : "";
}

}  // namespace

extern const Method kDskd = {
    .name = "dskd",
    .title = "Deeply-supervised knowledge distillation",
    .source = "Luo, Chen, Wang, arXiv 2202.07846",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
