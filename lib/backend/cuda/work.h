// Work: what a node becomes on a GPU, said without CUDA: steps in order, each a generated kernel (fused_code.h) or one
// of kernels/. The backend runs them in a stream; tests run the same steps on the host.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/fused_plan.h"
#include "lib/backend/cuda/kernels/kernels.h"

namespace distil::cuda {

struct Step {
  std::shared_ptr<const Pass> pass;  // a generated kernel, or
  std::function<kernels::Error(const KernelArgs& args, kernels::Stream stream)> run;
};

struct Work {
  std::vector<Step> steps;
  size_t workspace = 0;
  std::vector<std::pair<int, int>> aliases;  // (in, out) that may share memory
};

// The work of node `n` of an optimised graph; no steps when the op is none of ours: convolutions and matrix products.
// Operands that are not images are row-major; those of ops that compute are f32, those that only move are of any format.
Status MakeWork(const Graph& g, const Node& n, Work* out);

// Ops that only move elements (move.cc); no steps for others.
Status MakeMove(const Graph& g, const Node& n, Work* out);

// Adds the passes of a body to `out`. in[i] and out[o] are the node's inputs and outputs of these numbers.
Status AddBody(const FusedBody& body, const std::vector<Operand>& in, const std::vector<Operand>& out, Work* work);

// A value as an operand, int32 if it is an index tensor.
Operand OperandFor(const Value& v);

}  // namespace distil::cuda
