#include "lib/backend/cuda/prepare.h"

#include "lib/backend/cuda/kernels/emulate.h"

namespace distil::cuda {
namespace {

__global__ void PrepareKernel(const Prepare prepare) {
  __shared__ int64_t parts[Prepare::kThreads];
  const auto thread = static_cast<int>(threadIdx.x);
  int64_t grey = 0;
  if (prepare.NeedsGrey()) {
    parts[thread] = prepare.Grey(blockIdx.x, thread);
    __syncthreads();
    for (int64_t part : parts) grey += part;  // integers: any order will do
  }
  prepare.Write(blockIdx.x, thread, grey);
}

}  // namespace

const char* LaunchPrepare(const Prepare& prepare, int64_t count, void* stream) {
  DISTIL_LAUNCH_TOGETHER(PrepareKernel, count, Prepare::kThreads, stream, prepare);
  return DISTIL_LAUNCH_RESULT();
}

}  // namespace distil::cuda
