#include <cstdlib>
#include <cstring>

#include "lib/backend/cuda/kernels/device.h"

namespace distil::cuda::kernels {
namespace {

__global__ void CopyPartsKernel(const Parts p) {
  const auto& part = p.part[blockIdx.x];
  for (int64_t i = threadIdx.x; i < part.words; i += blockDim.x) part.to[i] = part.from[i];
}

}  // namespace

Error CopyParts(const Parts& parts, int count, Stream stream) {
  DISTIL_LAUNCH(CopyPartsKernel, count, kBlock, stream, parts);
  return DISTIL_LAUNCH_RESULT();
}

#ifdef __CUDACC__

Error Clear(void* to, size_t bytes, Stream stream) {
  const cudaError_t e = cudaMemsetAsync(to, 0, bytes, static_cast<cudaStream_t>(stream));
  return e == cudaSuccess ? nullptr : cudaGetErrorString(e);
}
Error Copy(void* to, const void* from, size_t bytes, Stream stream) {
  const cudaError_t e = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream));
  return e == cudaSuccess ? nullptr : cudaGetErrorString(e);
}
// Pinned: a copy from other memory waits for the stream, which one that is being captured cannot.
std::shared_ptr<const void> HostCopy(const void* from, size_t bytes) {
  void* memory = nullptr;
  if (cudaHostAlloc(&memory, bytes, cudaHostAllocDefault) != cudaSuccess) return nullptr;
  std::memcpy(memory, from, bytes);
  return {memory, [](const void* p) { cudaFreeHost(const_cast<void*>(p)); }};
}

#else

Error Clear(void* to, size_t bytes, Stream) {
  std::memset(to, 0, bytes);
  return nullptr;
}
Error Copy(void* to, const void* from, size_t bytes, Stream) {
  std::memcpy(to, from, bytes);
  return nullptr;
}
std::shared_ptr<const void> HostCopy(const void* from, size_t bytes) {
  void* memory = std::malloc(bytes);
  std::memcpy(memory, from, bytes);
  return {memory, [](const void* p) { std::free(const_cast<void*>(p)); }};
}

#endif

}  // namespace distil::cuda::kernels
