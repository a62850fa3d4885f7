#include "lib/backend/cuda/context.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

namespace distil::cuda {
namespace {

constexpr int kOldestMajor = 8;  // Ampere: bf16 in hardware

std::string CudaVersion(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  ...": the first word that is a version.
std::string DriverRelease() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line, word;
  std::getline(file, line);
  for (std::istringstream words(line); words >> word;)
    if (word.find('.') != word.npos && word.find_first_not_of("0123456789.") == word.npos) return word;
  return "";
}

// No driver, or one that is older than the runtime in this program.
Status CheckDriver(DeviceInfo* info) {
  DISTIL_CUDA(cudaRuntimeGetVersion(&info->runtime));
  DISTIL_CUDA(cudaDriverGetVersion(&info->driver));
  if (info->driver == 0)
    return Unsupported("there is no NVIDIA driver on this machine (libcuda.so.1 cannot be loaded)");
  // Within one major version every driver runs every runtime.
  if (info->driver / 1000 < info->runtime / 1000)
    return Unsupported("the NVIDIA driver is too old: it knows CUDA " + CudaVersion(info->driver) +
                       " and this build of distil uses CUDA " + CudaVersion(info->runtime) +
                       "; install a newer driver or build with an older toolkit");
  return {};
}

}  // namespace

Status ToStatus(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return {};
  Code code = Code::kInternal;
  switch (error) {
    case cudaErrorMemoryAllocation: code = Code::kOutOfMemory; break;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion: code = Code::kUnsupported; break;
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorMisalignedAddress:
    case cudaErrorAssert:
#if CUDART_VERSION >= 13000
    case cudaErrorContained:
#endif
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorDevicesUnavailable:
    case cudaErrorUnknown:
      return {Code::kDeviceLost, std::string("the GPU is lost: ") + cudaGetErrorString(error) + " (" +
                                     cudaGetErrorName(error) + ", seen by " + what +
                                     "); nothing on it can be read any more: start again from the last checkpoint"};
    default: break;
  }
  return {code, std::string(what) + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")"};
}

Status ToStatus(const Cudnn& cudnn, cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return {};
  return Internal(std::string(what) + ": " + cudnn.cudnnGetErrorString(status));
}

Status ToStatus(const CublasLt& cublaslt, cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  return {status == CUBLAS_STATUS_ALLOC_FAILED ? Code::kOutOfMemory : Code::kInternal,
          std::string(what) + ": " + cublaslt.cublasLtGetStatusString(status)};
}

Status Context::Open(int index, std::shared_ptr<Context>* out) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<Context>> opened;
  const std::lock_guard<std::mutex> lock(mutex);
  *out = opened[index].lock();
  if (*out) return {};
  DISTIL_RETURN_IF_ERROR(OpenFresh(index, out));
  opened[index] = *out;
  return {};
}

Status Context::OpenFresh(int index, std::shared_ptr<Context>* out) {
  std::shared_ptr<Context> c(new Context);
  DeviceInfo& info = c->info_;
  DISTIL_RETURN_IF_ERROR(CheckDriver(&info));
  int devices = 0;
  if (const cudaError_t e = cudaGetDeviceCount(&devices); e != cudaSuccess && e != cudaErrorNoDevice)
    return ToStatus(e, "looking for NVIDIA devices");
  if (devices == 0) return Unsupported("the NVIDIA driver sees no device on this machine");
  if (index < 0 || index >= devices)
    return NotFound("there is no device cuda:" + std::to_string(index) + ": the driver sees " +
                    (devices == 1 ? "one, cuda:0" : "cuda:0 to cuda:" + std::to_string(devices - 1)));
  cudaDeviceProp p;
  DISTIL_CUDA(cudaGetDeviceProperties(&p, index));
  info.driver_release = DriverRelease();
  info.index = index, info.name = p.name, info.major = p.major, info.minor = p.minor;
  info.multiprocessors = p.multiProcessorCount, info.memory = p.totalGlobalMem;
  info.shared_per_block = p.sharedMemPerBlockOptin, info.l2 = static_cast<size_t>(std::max(p.l2CacheSize, 0));
  if (info.major < kOldestMajor)
    return Unsupported(info.name + " has compute capability " + std::to_string(info.major) + "." +
                       std::to_string(info.minor) + ", and distil needs " + std::to_string(kOldestMajor) + ".0");

  DISTIL_RETURN_IF_ERROR(LoadCublasLt(&c->cublaslt_));  // first: cuDNN uses it
  DISTIL_RETURN_IF_ERROR(LoadCudnn(&c->cudnn_));
  info.cudnn = c->cudnn().cudnnGetVersion(), info.cublaslt = c->cublaslt().cublasLtGetVersion();
  const Scope scope(*c);
  DISTIL_CUDA(cudaStreamCreateWithFlags(&c->stream_, cudaStreamNonBlocking));
  DISTIL_CUDA(cudaStreamCreateWithFlags(&c->capture_stream_, cudaStreamNonBlocking));
  DISTIL_RETURN_IF_ERROR(c->transfer_.Open(c->stream_));
  DISTIL_CUDNN(c->cudnn(), cudnnCreate(&c->cudnn_handle_));
  DISTIL_CUBLASLT(c->cublaslt(), cublasLtCreate(&c->cublaslt_handle_));
  *out = std::move(c);
  return {};
}

Context::~Context() {
  if (!stream_) return;
  const Scope scope(*this);
  // When the process ends the driver may be gone before us, and what the libraries would free with it.
  if (cudaStreamSynchronize(stream_) == cudaErrorCudartUnloading) return;
  conv_plans.reset();
  if (cudnn_handle_) cudnn_->cudnnDestroy(cudnn_handle_);
  if (cublaslt_handle_) cublaslt_->cublasLtDestroy(cublaslt_handle_);
  if (capture_stream_) cudaStreamDestroy(capture_stream_);
  cudaStreamDestroy(stream_);
}

Scope::Scope(Context& context) : lock_(context.mutex_), index_(context.info_.index) {
  if (cudaGetDevice(&before_) != cudaSuccess) before_ = -1;
  // Also where it is current already: it makes the device's context this thread's, which cuDNN and the driver's own
  // functions take for granted.
  cudaSetDevice(index_);
}

Scope::~Scope() {
  if (before_ >= 0 && before_ != index_) cudaSetDevice(before_);
}

}  // namespace distil::cuda
