// Pooling over any image layout of this backend.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/graph/graph.h"

namespace distil::onednn {

// For the ops MaxPool, MaxPoolScatter, AvgPool and AvgPoolGrad on f32 operands.
std::unique_ptr<Kernel> MakePool(const Graph& g, const Node& n, int threads);

}  // namespace distil::onednn
