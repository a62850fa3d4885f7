// Optimisers as formulas. With g the gradient of parameter w, lr the learning rate, d the weight decay:
//
//   sgd    g += d w;  m = mu m + g;  w -= lr m,  or with Nesterov's momentum  w -= lr (g + mu m)        (PyTorch's SGD)
//   adam   g += d w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  c1, c2 as below
//          w -= lr / c1 * m / (sqrt(v) / sqrt(c2) + eps)                                               (PyTorch's Adam)
//   clip   g *= min(1, clip_norm / (|| all gradients of the update || + 1e-6)), before weight decay (clip_grad_norm_)
//
// m and v begin as zeros, so sgd's first m is g. c1 = 1 - b1^k in step k is carried as c1 = b1 c1 + (1-b1) from 0: the
// same number, without the cancellation that costs it most of its digits in the first steps.
#pragma once

#include <span>
#include <vector>

#include "lib/expr/expr.h"
#include "lib/train/options.h"

namespace distil {

// Tensors that an optimiser keeps for a parameter, all zeros at first.
struct OptimizerSlot {
  const char* name;
  bool scalar;  // one number; otherwise of the parameter's shape
};
std::vector<OptimizerSlot> OptimizerSlots(const TrainingOptions& o);

struct OptimizerUpdate {
  Expr parameter;
  std::vector<Expr> slots;
};
OptimizerUpdate UpdateParameter(const TrainingOptions& o, Expr lr, Expr w, Expr g, std::span<const Expr> slots);

// What clipping multiplies gradients by; `squares` is the sum of all their squares.
Expr ClipFactor(Expr squares, double clip_norm);

}  // namespace distil
