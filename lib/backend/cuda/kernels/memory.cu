#include "lib/backend/cuda/kernels/device.h"

namespace distil::cuda::kernels {

#ifdef __CUDACC__

Error Clear(void* to, size_t bytes, Stream stream) {
  const cudaError_t e = cudaMemsetAsync(to, 0, bytes, static_cast<cudaStream_t>(stream));
  return e == cudaSuccess ? nullptr : cudaGetErrorString(e);
}
Error Copy(void* to, const void* from, size_t bytes, Stream stream) {
  const cudaError_t e = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream));
  return e == cudaSuccess ? nullptr : cudaGetErrorString(e);
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

#endif

}  // namespace distil::cuda::kernels
