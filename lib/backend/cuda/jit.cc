#include "lib/backend/cuda/jit.h"

#include <cuda.h>

#include <map>
#include <mutex>

#include "lib/backend/cuda/context.h"
#include "lib/backend/cuda/fused_plan.h"

namespace distil::cuda {
namespace {

// The driver's functions, by way of the runtime: nothing links against libcuda.
struct Driver {
  decltype(&::cuLibraryLoadData) load = nullptr;
  decltype(&::cuLibraryUnload) unload = nullptr;
  decltype(&::cuLibraryGetKernel) kernel = nullptr;
  decltype(&::cuKernelGetFunction) function = nullptr;
  decltype(&::cuLaunchKernel) launch = nullptr;
};

template <class F>
Status Find(const char* name, F* function) {
  void* p = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t e = cudaGetDriverEntryPointByVersion(name, &p, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t e = cudaGetDriverEntryPoint(name, &p, cudaEnableDefault, &found);
#endif
  if (e != cudaSuccess) return ToStatus(e, "cudaGetDriverEntryPoint");
  if (!p || found != cudaDriverEntryPointSuccess) return Internal(std::string("the driver has no ") + name);
  *function = reinterpret_cast<F>(p);
  return {};
}

Status FindAll(Driver* d) {
  DISTIL_RETURN_IF_ERROR(Find("cuLibraryLoadData", &d->load));
  DISTIL_RETURN_IF_ERROR(Find("cuLibraryUnload", &d->unload));
  DISTIL_RETURN_IF_ERROR(Find("cuLibraryGetKernel", &d->kernel));
  DISTIL_RETURN_IF_ERROR(Find("cuKernelGetFunction", &d->function));
  return Find("cuLaunchKernel", &d->launch);
}

struct LoadedDriver {
  Driver functions;
  Status status = FindAll(&functions);
};
const LoadedDriver& TheDriver() {
  static const LoadedDriver driver;
  return driver;
}

// The driver's errors have the numbers of the runtime's.
Status Check(CUresult result, const char* what) { return ToStatus(static_cast<cudaError_t>(result), what); }

}  // namespace

Status JitKernel::Load(const std::string& ptx, std::shared_ptr<const JitKernel>* out) {
  static std::mutex mutex;
  static std::map<std::pair<int, std::string>, std::weak_ptr<const JitKernel>> loaded;
  DISTIL_RETURN_IF_ERROR(TheDriver().status);
  int device = 0;
  DISTIL_CUDA(cudaGetDevice(&device));
  const std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<const JitKernel>& known = loaded[{device, ptx}];
  if ((*out = known.lock())) return {};
  const std::shared_ptr<JitKernel> fresh(new JitKernel);
  DISTIL_RETURN_IF_ERROR(fresh->Compile(ptx));
  known = *out = fresh;
  std::erase_if(loaded, [](const auto& entry) { return entry.second.expired(); });
  return {};
}

Status JitKernel::Compile(const std::string& ptx) {
  const Driver& d = TheDriver().functions;
  char log[4096] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log, reinterpret_cast<void*>(uintptr_t{sizeof log})};
  CUlibrary library = nullptr;
  const CUresult result = d.load(&library, ptx.c_str(), options, values, 2, nullptr, nullptr, 0);
  if (result != CUDA_SUCCESS && log[0]) return Internal(std::string("the driver refuses generated code: ") + log);
  DISTIL_RETURN_IF_ERROR(Check(result, "cuLibraryLoadData"));
  library_ = library;
  CUkernel kernel = nullptr;
  DISTIL_RETURN_IF_ERROR(Check(d.kernel(&kernel, library, "fused"), "cuLibraryGetKernel"));
  CUfunction function = nullptr;
  DISTIL_RETURN_IF_ERROR(Check(d.function(&function, kernel), "cuKernelGetFunction"));
  function_ = function;
  return {};
}

JitKernel::~JitKernel() {
  if (library_) TheDriver().functions.unload(static_cast<CUlibrary>(library_));
}

Status JitKernel::Launch(int64_t blocks_x, int64_t blocks_y, const std::vector<uint64_t>& arguments,
                         cudaStream_t stream) const {
  std::vector<void*> addresses;
  for (const uint64_t& a : arguments) addresses.push_back(const_cast<uint64_t*>(&a));
  return Check(TheDriver().functions.launch(static_cast<CUfunction>(function_), static_cast<unsigned>(blocks_x),
                                            static_cast<unsigned>(blocks_y), 1, kThreads, 1, 1, 0, stream,
                                            addresses.data(), nullptr),
               "cuLaunchKernel");
}

}  // namespace distil::cuda
