// Lower: rewrites a graph so that a backend meets only what it has kernels for, and nothing twice or in vain.
#pragma once

#include <functional>

#include "lib/graph/graph.h"

namespace distil {

// Copies the live part of `g`. Ops that have a composition of primitives (BatchNorm) are replaced by it unless
// `native(node)` says that the backend runs them itself. StopGradient disappears; reshapes of reshapes collapse.
Graph Lower(const Graph& g, const std::function<bool(const Node&)>& native);

// Copies node `n` of `from` into `to`, with inputs looked up in `map`, and records its outputs there.
void CopyNode(const Graph& from, NodeId n, Graph* to, std::vector<ValueId>* map);
// Carries outputs and assigned variables over.
void CopyRoots(const Graph& from, Graph* to, const std::vector<ValueId>& map);

}  // namespace distil
