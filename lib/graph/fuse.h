// Fuse: gathers pointwise ops, broadcasts and the reductions at their ends into Fused nodes, so that memory is read and
// written as rarely as the formulas allow. Shared by the backends that have a loop engine.
//
// Policy. A pointwise value is kept in memory only when something other than a fused node needs it, when its users work
// on a larger space, or when it has several users and recomputing it would read more than one full-size tensor or cost
// a transcendental function; otherwise every user recomputes it. Values of one space that read a common tensor and are
// ready at the same time are computed in one pass: a sum and the statistics over it, both gradients of a norm, a
// parameter and its momentum.
#pragma once

#include "lib/graph/graph.h"

namespace distil {

Graph Fuse(const Graph& g);

// Whether a pointwise op is a transcendental function.
bool Costly(Op op);

}  // namespace distil
