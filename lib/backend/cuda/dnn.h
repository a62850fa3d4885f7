// Convolutions by cuDNN and matrix products by cuBLASLt, as kernels.
#pragma once

#include "lib/backend/cuda/kernel.h"
#include "lib/backend/cuda/layout.h"

namespace distil::cuda {

// Conv2d, Conv2dInput, Conv2dWeight and MatMul.
Maker MakeDnnKernel;

// Asks cuDNN by making the plan, which MakeDnnKernel then finds. `context` outlives the check.
ConvCheck CheckWithCudnn(Context* context);

}  // namespace distil::cuda
