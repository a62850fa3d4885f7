// Convolutions and pooling by cuDNN, matrix products by cuBLASLt.
#pragma once

#include "lib/backend/cuda/kernel.h"

namespace distil::cuda {

Maker MakeDnnKernel;

}  // namespace distil::cuda
