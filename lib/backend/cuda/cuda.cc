// The GPU backend: convolutions and pooling by cuDNN, matrix products by cuBLASLt, all else by kernels of our own.
#include <cuda_runtime.h>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/context.h"
#include "lib/backend/cuda/dnn.h"
#include "lib/backend/cuda/image_feed.h"
#include "lib/backend/cuda/kernel.h"
#include "lib/backend/cuda/launch_graph.h"
#include "lib/backend/cuda/layout.h"
#include "lib/backend/cuda/readback.h"

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

struct Event {
  cudaEvent_t event = nullptr;
  Status Open() {
    DISTIL_CUDA(cudaEventCreate(&event));
    return {};
  }
  ~Event() {
    if (event) cudaEventDestroy(event);
  }
};

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(std::shared_ptr<Context> context) : context_(std::move(context)) {}

  std::string_view name() const override { return "cuda"; }
  std::string description() const override {
    const DeviceInfo& i = context_->info();
    auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
    auto release = [](size_t v) {
      return std::to_string(v / 10000) + "." + std::to_string(v % 10000 / 100) + "." + std::to_string(v % 100);
    };
    return "cuda " + version(i.runtime) + ", " + i.name + " sm_" + std::to_string(i.major) + std::to_string(i.minor) +
           ", driver " + (i.driver_release.empty() ? "for CUDA " + version(i.driver) : i.driver_release) + ", cudnn " +
           release(i.cudnn) + ", cublaslt " + release(i.cublaslt);
  }

  bool host() const override { return false; }

  Status Optimize(Graph* g, const CompileOptions& options) override {
    const Scope scope(*context_);
    return OptimizeGraph(CheckWithCudnn(context_.get()), options, g);
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

  size_t alignment() const override { return 256; }  // what cudaMalloc gives, and libraries like
  int reuse_distance() const override { return kReuseDistance; }

  Status HasRoom(size_t bytes) override {
    const Scope scope(*context_);
    size_t free = 0, total = 0;
    DISTIL_CUDA(cudaMemGetInfo(&free, &total));
    return bytes <= free ? Status() : OutOfMemory(bytes, free, total);
  }
  Status Allocate(size_t bytes, Buffer* out) override {
    *out = {};
    if (bytes == 0) return {};
    const Scope scope(*context_);
    void* p = nullptr;
    if (const cudaError_t e = cudaMalloc(&p, bytes); e != cudaSuccess) {
      if (e != cudaErrorMemoryAllocation) return ToStatus(e, "cudaMalloc");
      cudaGetLastError();  // it is no lasting error
      size_t free = 0, total = 0;
      DISTIL_CUDA(cudaMemGetInfo(&free, &total));
      return OutOfMemory(bytes, free, total);
    }
    out->data = p, out->bytes = bytes;
    out->release = [context = context_](void* memory, size_t) {
      const Scope released(*context);
      cudaFree(memory);  // waits for what uses it
    };
    DISTIL_CUDA(cudaMemsetAsync(p, 0, bytes, context_->stream()));
    return {};
  }
  Status Upload(void* device, const void* host, size_t bytes) override {
    const Scope scope(*context_);
    return context_->transfer().Upload(device, host, bytes);
  }
  Status Download(void* host, const void* device, size_t bytes) override {
    const Scope scope(*context_);
    return context_->transfer().Download(host, device, bytes);
  }

  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>* cache) override {
    const Scope scope(*context_);
    return LaunchGraph::Replay(context_.get(), launches, cache);
  }
  size_t Work(const std::shared_ptr<void>& cache) const override {
    return cache ? static_cast<const LaunchGraph*>(cache.get())->nodes() : 0;
  }
  // A chain of the same launch, between two events.
  Status Time(const Launch& launch, double (*)(), double* seconds) override {
    const Scope scope(*context_);
    const std::vector<Launch> chain(kTimed, launch);
    std::unique_ptr<LaunchGraph> graph;
    DISTIL_RETURN_IF_ERROR(LaunchGraph::Capture(context_.get(), chain, &graph));
    Event begin, end;
    DISTIL_RETURN_IF_ERROR(begin.Open());
    DISTIL_RETURN_IF_ERROR(end.Open());
    DISTIL_RETURN_IF_ERROR(graph->Run());  // warm
    DISTIL_CUDA(cudaEventRecord(begin.event, context_->stream()));
    DISTIL_RETURN_IF_ERROR(graph->Run());
    DISTIL_CUDA(cudaEventRecord(end.event, context_->stream()));
    DISTIL_CUDA(cudaEventSynchronize(end.event));
    float milliseconds = 0;
    DISTIL_CUDA(cudaEventElapsedTime(&milliseconds, begin.event, end.event));
    *seconds = static_cast<double>(milliseconds) / 1e3 / kTimed;
    return {};
  }

  Status MakeImageFeed(const ImageChange& change, std::unique_ptr<ImageFeed>* out) override {
    return cuda::MakeImageFeed(context_, change, out);
  }
  Status MakeReadback(size_t bytes, size_t slots, std::unique_ptr<Readback>* out) override {
    return cuda::MakeReadback(context_, bytes, slots, out);
  }

 private:
  // A step has some hundreds of launches, so that sharing memory hardly ever orders any. It costs little: the values of
  // a step of WRN-40-2 and WRN-16-2, batch 64, take 121 MiB packed tightest, 143 at a distance of 128, 145 at any.
  static constexpr int kReuseDistance = 256;
  static constexpr size_t kTimed = 20;

  static Status OutOfMemory(size_t bytes, size_t free, size_t total) {
    auto mib = [](size_t n) { return std::to_string(n >> 20) + " MiB"; };
    return {Code::kOutOfMemory, "the GPU has no room for " + mib(bytes) + " more: " + mib(free) + " of its " +
                                    mib(total) + " are free; a smaller batch needs less"};
  }

  std::shared_ptr<Context> context_;
};

}  // namespace
}  // namespace cuda

Status MakeCudaBackend(int device, const HostOptions& options, std::unique_ptr<Backend>* out) {
  if (options.allocate)
    return Unsupported("memory of a cuda device comes from the CUDA runtime: an allocator of one's own is for the CPU");
  std::shared_ptr<cuda::Context> context;
  DISTIL_RETURN_IF_ERROR(cuda::Context::Open(device, &context));
  *out = std::make_unique<cuda::CudaBackend>(std::move(context));
  return {};
}

}  // namespace distil
