#include "lib/backend/onednn/vector_ops.h"

namespace distil::onednn {

const VectorOps& GetVectorOps() {
#if defined(__x86_64__)
  static const VectorOps* const ops = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
      return &avx512::kOps;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kOps;
    return &base::kOps;
  }();
  return *ops;
#else
  return base::kOps;
#endif
}

}  // namespace distil::onednn
