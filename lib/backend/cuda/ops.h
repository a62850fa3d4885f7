// The nodes that are ours (work.h): fused ones, and those that move, count, draw or pool.
#pragma once

#include "lib/backend/cuda/kernel.h"

namespace distil::cuda {

Maker MakeOpKernel;

}  // namespace distil::cuda
