// Jit: PTX made into code for the current GPU by the driver, which keeps what it compiled on disk.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::cuda {

class JitKernel {
 public:
  // Loads the kernel `fused` of a module for the current device, at once: nothing may be loaded while a stream is being
  // captured. Equal modules are loaded once.
  static Status Load(const std::string& ptx, std::shared_ptr<const JitKernel>* out);
  ~JitKernel();

  Status Launch(int64_t blocks_x, int64_t blocks_y, const std::vector<uint64_t>& arguments, cudaStream_t stream) const;

 private:
  JitKernel() = default;
  Status Compile(const std::string& ptx);
  void* library_ = nullptr;   // a CUlibrary
  void* function_ = nullptr;  // a CUfunction
};

}  // namespace distil::cuda
