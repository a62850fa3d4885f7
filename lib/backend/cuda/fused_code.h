// PTX for one pass of a fused node (fused_plan.h).
//
// The kernel is called "fused". Its arguments are the addresses of the pass's memories, in their order; a flat pass
// has the number of its elements after them. A flat pass may also run for many nodes in one launch: then its arguments
// are a table with one row per node, the same addresses and number, and a list with one pair per block, its row and
// which piece of the row's elements it computes.
#pragma once

#include <string>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/fused_plan.h"

namespace distil::cuda {

std::string FusedCode(const Pass& pass, bool many = false);

// The kernel's arguments for these addresses; with `many`, the row of the table.
std::vector<uint64_t> FusedArguments(const Pass& pass, const KernelArgs& args);

// Elements that a block of a flat pass computes.
inline int64_t FlatPiece(const Pass& p) { return int64_t{kThreads} * p.unroll * p.lanes; }

}  // namespace distil::cuda
