#include "lib/backend/cpu.h"

namespace distil {

std::unique_ptr<Backend> MakeCpuBackend(const HostOptions& options) {
#if DISTIL_ONEDNN
  return MakeOneDnnBackend(options);
#else
  return MakeReferenceBackend(options, DType::kF32);
#endif
}

}  // namespace distil
