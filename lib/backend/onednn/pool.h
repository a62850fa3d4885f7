// Pooling over any image layout of this backend.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/graph/graph.h"

namespace distil::onednn {

// For the ops MaxPool, MaxPoolScatter, AvgPool and AvgPoolGrad. All operands have the same layout (one with a single
// place lies alike in all of them) and the same number format, f32 or bf16; sums are taken in f32.
std::unique_ptr<Kernel> MakePool(const Graph& g, const Node& n, int threads);

}  // namespace distil::onednn
