#include "lib/train/optimizer.h"

namespace distil {

std::vector<OptimizerSlot> OptimizerSlots(const TrainingOptions& o) {
  if (o.optimizer == "adam")
    return {{"exp_avg", false}, {"exp_avg_sq", false}, {"correction1", true}, {"correction2", true}};
  if (o.momentum > 0) return {{"momentum", false}};
  return {};
}

static OptimizerUpdate Sgd(const TrainingOptions& o, Expr lr, Expr w, Expr g, std::span<const Expr> slots) {
  if (slots.empty()) return {w - lr * g, {}};
  Expr m = slots[0] * o.momentum + g;
  return {w - lr * (o.nesterov ? g + m * o.momentum : m), {m}};
}

static OptimizerUpdate Adam(const TrainingOptions& o, Expr lr, Expr w, Expr g, std::span<const Expr> slots) {
  Expr m = slots[0] * o.beta1 + g * (1 - o.beta1);
  Expr v = slots[1] * o.beta2 + Square(g) * (1 - o.beta2);
  Expr c1 = slots[2] * o.beta1 + (1 - o.beta1);
  Expr c2 = slots[3] * o.beta2 + (1 - o.beta2);
  return {w - lr / c1 * m / (Sqrt(v) / Sqrt(c2) + o.eps), {m, v, c1, c2}};
}

OptimizerUpdate UpdateParameter(const TrainingOptions& o, Expr lr, Expr w, Expr g, std::span<const Expr> slots) {
  if (o.weight_decay != 0) g = g + w * o.weight_decay;
  return o.optimizer == "adam" ? Adam(o, lr, w, g, slots) : Sgd(o, lr, w, g, slots);
}

Expr ClipFactor(Expr squares, double clip_norm) { return Min(clip_norm / (Sqrt(squares) + 1e-6), 1.0); }

}  // namespace distil
