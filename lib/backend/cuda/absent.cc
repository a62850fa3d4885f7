// Stands for the CUDA backend in a build without a toolkit.
#include "distil_cuda_missing.h"
#include "lib/backend/backend.h"

namespace distil {

Status MakeCudaBackend(int, const HostOptions&, std::unique_ptr<Backend>*) {
  return Unsupported("this build of distil has no CUDA backend: " DISTIL_CUDA_MISSING
                     "; install the CUDA toolkit (12.3 or newer) and cuDNN 9 with their headers and build again, see "
                     "docs/gpu.md");
}

}  // namespace distil
