// Context: a GPU that was opened, with what every kernel on it shares.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <mutex>
#include <string>

#include "lib/backend/cuda/libraries.h"
#include "lib/backend/cuda/transfer.h"
#include "lib/base/status.h"

namespace distil::cuda {

// Errors of the three libraries as a status: "<what>: <the library's own words>". Running out of memory, what this
// machine lacks, a lost device (kDeviceLost: nothing more can be done on it in this process) and everything else have
// codes of their own.
Status ToStatus(cudaError_t error, const char* what);
Status ToStatus(const Cudnn& cudnn, cudnnStatus_t status, const char* what);
Status ToStatus(const CublasLt& cublaslt, cublasStatus_t status, const char* what);

#define DISTIL_CUDA(call) DISTIL_RETURN_IF_ERROR(::distil::cuda::ToStatus((call), #call))
// With a `const Context& context` or `const Context* context`'s tables: DISTIL_CUDNN(c.cudnn(), cudnnSetStream(h, s)).
#define DISTIL_CUDNN(table, call) DISTIL_RETURN_IF_ERROR(::distil::cuda::ToStatus((table), (table).call, #call))
#define DISTIL_CUBLASLT(table, call) DISTIL_RETURN_IF_ERROR(::distil::cuda::ToStatus((table), (table).call, #call))

class ConvPlans;

struct DeviceInfo {
  int index = 0;
  std::string name;          // "NVIDIA H200"
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  size_t memory = 0;               // bytes, of the whole device
  size_t shared_per_block = 0;     // bytes that a block gets when it asks for more than 48 KiB
  size_t l2 = 0;                   // bytes
  int driver = 0, runtime = 0;     // CUDA versions as 13000: the newest the driver knows, the one built with
  std::string driver_release;      // "580.95.05"; empty where the system does not say
  size_t cudnn = 0, cublaslt = 0;  // versions as 91300
};

// Lives as long as the backend. One thread uses it at a time: the backend locks it around each of its calls.
class Context {
 public:
  // Messages name what is missing: driver, a newer driver, the device, cuDNN, cuBLASLt, compute capability.
  // Backends of one device share one context while any of them lives.
  static Status Open(int index, std::shared_ptr<Context>* out);
  ~Context();

  const DeviceInfo& info() const { return info_; }
  const Cudnn& cudnn() const { return *cudnn_; }
  const CublasLt& cublaslt() const { return *cublaslt_; }
  // A kernel that uses it sets its stream first, in every Enqueue.
  cudnnHandle_t cudnn_handle() const { return cudnn_handle_; }
  cublasLtHandle_t cublaslt_handle() const { return cublaslt_handle_; }
  // Plans of convolutions, by what they compute (cudnn_conv.h): made when the first one is asked for.
  std::shared_ptr<ConvPlans> conv_plans;
  // Where steps and transfers run, in the order in which they are asked for.
  cudaStream_t stream() const { return stream_; }
  // Where launches are captured; nothing ever runs in it.
  cudaStream_t capture_stream() const { return capture_stream_; }
  Transfer& transfer() { return transfer_; }

 private:
  friend class Scope;
  static Status OpenFresh(int index, std::shared_ptr<Context>* out);
  Context() = default;
  DeviceInfo info_;
  const Cudnn* cudnn_ = nullptr;
  const CublasLt* cublaslt_ = nullptr;
  cudnnHandle_t cudnn_handle_ = nullptr;
  cublasLtHandle_t cublaslt_handle_ = nullptr;
  cudaStream_t stream_ = nullptr, capture_stream_ = nullptr;
  Transfer transfer_;
  std::recursive_mutex mutex_;
};

// Holds the context for this thread and makes its device the current one; puts the caller's back in the end.
class Scope {
 public:
  explicit Scope(Context& context);
  ~Scope();

 private:
  std::lock_guard<std::recursive_mutex> lock_;
  int index_, before_ = -1;
};

}  // namespace distil::cuda
