// The ops that move, count or draw, and copies.
#pragma once

#include "lib/backend/cuda/kernel.h"

namespace distil::cuda {

Maker MakeOpKernel;

}  // namespace distil::cuda
