// The GPU backend: convolutions and pooling by cuDNN, matrix products by cuBLASLt, all else by kernels of our own.
#include <cuda_runtime.h>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/context.h"
#include "lib/backend/cuda/kernel.h"
#include "lib/backend/cuda/layout.h"
#include "lib/expr/lower.h"
#include "lib/graph/fold.h"
#include "lib/graph/fuse.h"

namespace distil {
namespace cuda {
namespace {

class Copy : public CudaKernel {
 public:
  explicit Copy(size_t bytes) : bytes_(bytes) {}
  Status Enqueue(const KernelArgs& args, cudaStream_t stream) override {
    DISTIL_CUDA(cudaMemcpyAsync(args.out[0], args.in[0], bytes_, cudaMemcpyDeviceToDevice, stream));
    return {};
  }

 private:
  size_t bytes_;
};

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(std::unique_ptr<Context> context) : context_(std::move(context)) {}

  std::string_view name() const override { return "cuda"; }
  std::string description() const override {
    const DeviceInfo& i = context_->info();
    auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
    return "cuda " + version(i.runtime) + ", " + i.name + ", driver for CUDA " + version(i.driver) + ", cuDNN " +
           std::to_string(i.cudnn) + ", cuBLASLt " + std::to_string(i.cublaslt);
  }

  Status Optimize(Graph* g, const CompileOptions& options) override {
    const Scope scope(*context_);
    *g = Lower(*g, IsNative);
    *g = Fuse(Fold(*g));
    return AssignLayouts(context_.get(), options, g);
  }
  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) override {
    const Scope scope(*context_);
    return MakeCudaKernel(context_.get(), g, n, out);
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return std::make_unique<Copy>(bytes); }
  size_t Bytes(const Graph& g, ValueId id) const override {
    const Value& v = g.value(id);
    if (v.layout == Layout::kOpaque) return g.opaque()[v.opaque].bytes;
    return static_cast<size_t>(v.shape.elements()) * DTypeSize(v.dtype);
  }

  Status Allocate(size_t bytes, Buffer* out) override {
    *out = {};
    if (bytes == 0) return {};
    const Scope scope(*context_);
    void* p = nullptr;
    if (const cudaError_t e = cudaMalloc(&p, bytes); e != cudaSuccess) {
      size_t free = 0, total = 0;
      cudaMemGetInfo(&free, &total);
      if (e != cudaErrorMemoryAllocation) return ToStatus(e, "cudaMalloc");
      return {Code::kOutOfMemory, "the GPU has no " + std::to_string(bytes) + " bytes: " + std::to_string(free) +
                                      " of " + std::to_string(total) + " are free"};
    }
    out->data = p, out->bytes = bytes;
    out->release = [this](void* memory, size_t) {
      const Scope released(*context_);
      cudaFree(memory);
    };
    DISTIL_CUDA(cudaMemsetAsync(p, 0, bytes, context_->stream()));
    return {};
  }
  Status Upload(void* device, const void* host, size_t bytes) override {
    const Scope scope(*context_);
    DISTIL_CUDA(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, context_->stream()));
    DISTIL_CUDA(cudaStreamSynchronize(context_->stream()));
    return {};
  }
  Status Download(void* host, const void* device, size_t bytes) override {
    const Scope scope(*context_);
    DISTIL_CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, context_->stream()));
    DISTIL_CUDA(cudaStreamSynchronize(context_->stream()));
    return {};
  }

  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>*) override {
    const Scope scope(*context_);
    for (const Launch& l : launches)
      DISTIL_RETURN_IF_ERROR(
          static_cast<CudaKernel*>(l.kernel)->Enqueue({l.in.data(), l.out.data(), l.workspace}, context_->stream()));
    return {};
  }

 private:
  std::unique_ptr<Context> context_;
};

}  // namespace
}  // namespace cuda

Status MakeCudaBackend(int device, const HostOptions& options, std::unique_ptr<Backend>* out) {
  if (options.allocate)
    return Unsupported("memory of a cuda device comes from the CUDA runtime: an allocator of one's own is for the CPU");
  std::unique_ptr<cuda::Context> context;
  DISTIL_RETURN_IF_ERROR(cuda::Context::Open(device, &context));
  *out = std::make_unique<cuda::CudaBackend>(std::move(context));
  return {};
}

}  // namespace distil
