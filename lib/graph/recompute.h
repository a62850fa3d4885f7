// Recompute: computes values again where they are needed late instead of keeping them through the busiest part of a step
// (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, for what is cheap to compute).
//
// A forward pass leaves much that only its gradients read again: of a norm with its ReLU both what goes in, for the
// norm's gradient, and what comes out, for that of the next convolution's weight. The latter is one pass over the
// former, which is there anyway.
//
// Policy. While something is idle at the launch where most is alive, that is, used before and after but not near it, the
// one used latest is dropped and computed again just before that use, if a fused pass without transcendental functions
// over at most two tensors of its size, or a copy, or a few of these in a row make it of what is in memory then. So
// nothing of any size lives longer, and nothing is computed twice where no memory is won. Results keep their bits.
#pragma once

#include "lib/graph/graph.h"

namespace distil {

// Of a graph that is ready to run: its order counts, and layouts and number formats are kept. Values of fewer than `worth`
// bytes are left alone, and much smaller ones may live longer.
Graph Recompute(const Graph& g, size_t worth = 256 << 10);

}  // namespace distil
