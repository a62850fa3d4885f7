// Fused nodes: pointwise chains with the reductions at their ends.
#pragma once

#include "lib/backend/cuda/kernel.h"

namespace distil::cuda {

Maker MakeFusedKernel;

}  // namespace distil::cuda
