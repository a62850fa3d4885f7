#include "lib/backend/cuda/image_feed.h"

namespace distil::cuda {
namespace {

__global__ void __launch_bounds__(Prepare::kThreads) PrepareKernel(const Prepare prepare) {
  __shared__ unsigned long long grey;
  if (prepare.NeedsGrey()) {
    if (threadIdx.x == 0) grey = 0;
    __syncthreads();
    // Integers: the order of the additions does not matter.
    atomicAdd(&grey, static_cast<unsigned long long>(prepare.Grey(blockIdx.x, static_cast<int>(threadIdx.x))));
    __syncthreads();
  }
  prepare.Write(blockIdx.x, static_cast<int>(threadIdx.x), prepare.NeedsGrey() ? static_cast<int64_t>(grey) : 0);
}

}  // namespace

Status LaunchPrepare(const Prepare& prepare, int64_t count, cudaStream_t stream) {
  PrepareKernel<<<static_cast<unsigned>(count), Prepare::kThreads, 0, stream>>>(prepare);
  DISTIL_CUDA(cudaGetLastError());
  return {};
}

}  // namespace distil::cuda
