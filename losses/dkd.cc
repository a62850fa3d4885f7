// DKD: Zhao, Cui, Song, Qiu, Liang, "Decoupled Knowledge Distillation", CVPR 2022, arXiv 2203.08679.
//
//   p = softmax(z / T),  b = (p_y, 1 - p_y) for the label y,  q = softmax of z / T over the classes other than y
//   L_DKD = ramp T^2 ( alpha KL(b_t || b_s) + beta KL(q_t || q_s) ),  means over samples            z: [n,K]
//   ramp = min(1, (epoch + 1) / warmup),  epochs counted from 0
//
// Vanilla KD is alpha = 1, beta = 1 - p_y of the teacher. Defaults: alpha 1, beta 8, T 4, warm-up over 20 epochs, beside
// cross-entropy of weight 1 (authors' code for CIFAR-100; its beta is 2 to 8, by the pair).
#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "1", "factor of the term (authors' code)", "[0,inf)"},
    {"alpha", "1", "factor of the label's class against the rest (authors' code)", "[0,inf)"},
    {"beta", "8", "factor of the classes that are wrong (authors' code: 2 to 8, by the pair)", "[0,inf)"},
    {"T", "4", "temperature (authors' code)", "(0,inf)"},
    {"warmup", "20", "epochs until the term has its full weight, 0: at once (authors' code)", "[0,inf)"},
};

constexpr double kNever = -1e30;  // exp of it is 0, and differences of two of it are finite

struct Decoupled {
  Expr right, wrong;  // log of p_y and of 1 - p_y, [n,1]
  Expr others;        // log q, [n,K]; kNever or so at the label
};

Decoupled Decouple(Expr z, Expr is_label) {
  Expr top = StopGradient(MaxOf(z, {1}));
  Expr rest = Select(is_label, kNever, z), top_rest = StopGradient(MaxOf(rest, {1}));
  Expr all = top + Log(Sum(Exp(z - top), {1}));
  Expr all_rest = top_rest + Log(Sum(Exp(rest - top_rest), {1}));
  return {Sum(Select(is_label, z, 0.0), {1}) - all, all_rest - all, rest - all_rest};
}

Expr Loss(Pair& p) {
  const double T = p["T"], warmup = p["warmup"];
  Expr is_label = OneHot(p.labels, p.s.logits.dim(1));
  const Decoupled t = Decouple(p.t.logits / T, is_label), s = Decouple(p.s.logits / T, is_label);
  Expr target = Exp(t.right) * (t.right - s.right) + Exp(t.wrong) * (t.wrong - s.wrong);  // [n,1]
  Expr others = Sum(Select(is_label, 0.0, Exp(t.others) * (t.others - s.others)), {1});   // [n,1]
  Expr loss = T * T * MeanAll(p["alpha"] * target + p["beta"] * others);
  return warmup > 0 ? loss * Min((p.step->epoch() + 1) / warmup, 1) : loss;
}

std::string Check(const Features& t, const Features& s, const MethodOptions&) {
  if (s.logits.dim(1) < 2) return "there are no classes beside the label's";
  return CannotCompareClasses(t, s);
}

}  // namespace

extern const Method kDkd = {
    .name = "dkd",
    .title = "Decoupled knowledge distillation",
    .source = "Zhao et al., CVPR 2022",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
    .check = Check,
};

}  // namespace distil
