// Layouts and number formats: where values lie in blocks of 16 channels, which are bf16, and where that must change.
#pragma once

#include "lib/backend/backend.h"
#include "lib/backend/onednn/primitives.h"
#include "lib/graph/graph.h"

namespace distil::onednn {

// Rewrites `g` with Reorder nodes so that every operand lies as its op needs it. Images are kept in blocks of 16
// channels where channels divide by 16, channels-last otherwise; everything else is row-major. A convolution's weight
// gets the layout that its convolution asks for. Outputs and next values of variables end row-major in f32.
Status AssignLayouts(const Library& library, const CompileOptions& options, int threads, Graph* g);

}  // namespace distil::onednn
