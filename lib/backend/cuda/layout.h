// Layouts and number formats: which images lie channels-last, which values are bf16, and where that must change.
#pragma once

#include "lib/backend/backend.h"
#include "lib/backend/cuda/context.h"
#include "lib/graph/graph.h"

namespace distil::cuda {

// Rewrites `g`, which Lower, Fold and Fuse have been through, with Reorder nodes so that every operand lies as its
// kernel needs it. Outputs and next values of variables end row-major in f32. What kernels must know of `options`
// (TF32) is written into the nodes: makers do not see the options.
Status AssignLayouts(Context* context, const CompileOptions& options, Graph* g);

// Whether the backend keeps this composite (BatchNorm) and has a kernel for it; Lower expands the others.
bool IsNative(const Node& n);

}  // namespace distil::cuda
