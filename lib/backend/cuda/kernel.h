// CudaKernel: what runs one node on the GPU, and the function that chooses one.
//
// The makers, by file (each is given every node and leaves *out empty for those that are not its own):
//   dnn.h   MakeDnnKernel   what cuDNN and cuBLASLt compute: Conv2d, Conv2dInput, Conv2dWeight, MatMul
//   ops.h   MakeOpKernel    everything else: Fused, what moves (Reorder, Transpose, Slice, Pad, Concat, Broadcast),
//                           counts (Sum, MaxReduce, Gather, ScatterAdd, Rank), makes (Iota, Constant, Data, Random)
//                           or pools
// All look at dtype (kF32, kBF16; kI32 when `index`) and layout (kPlain, kNhwc; layout.h) of their node's values.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string_view>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/batch.h"
#include "lib/backend/cuda/context.h"

namespace distil::cuda {

// A kernel that can run for many nodes in one launch.
class Batchable {
 public:
  virtual std::string_view key() const = 0;  // of nodes that can run together, and of no others
  virtual void AddTo(const KernelArgs& args, BatchTable* table) const = 0;
  virtual Status LoadMany() const = 0;  // before the first EnqueueMany, while nothing is captured
  // `rows` and `blocks`: a table's, in device memory; `count` of its blocks.
  virtual Status EnqueueMany(const uint64_t* rows, const uint32_t* blocks, int64_t count,
                             cudaStream_t stream) const = 0;

 protected:
  ~Batchable() = default;
};

class CudaKernel : public Kernel {
 public:
  // Puts the work into `stream` and returns at once. It is called while the stream is being captured, once for each
  // program, and the captured work is then replayed: so it may only launch kernels, copy and clear memory
  // asynchronously, and call library functions that do no more than that. Whatever else is needed (plans, choice of an
  // algorithm, attributes) is done when the kernel is made. Host memory that a copy reads lives as long as the kernel.
  //
  // It reads and writes only `args`: the inputs' and outputs' bytes as Backend::Bytes says and workspace() bytes of
  // workspace. The order of launches is derived from these ranges, and launches that share none may run at the same
  // time. A kernel keeps no device memory of its own: the plan would not know of it.
  //
  // Addresses of values and workspaces are 256-byte aligned. Two runs with the same input give the same bits: no
  // floating-point atomics.
  virtual Status Enqueue(const KernelArgs& args, cudaStream_t stream) = 0;

  // Itself, when it may be batched with others.
  virtual const Batchable* batch() const { return nullptr; }

  // For debugging: one launch by itself, waited for. Throws what went wrong.
  void Run(const KernelArgs& args) final {
    Status s = Enqueue(args, nullptr);
    if (s.ok()) s = ToStatus(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
    if (!s.ok()) throw std::runtime_error(s.message());
  }
};

// The kernel for node `n` of an optimised graph. `context` outlives it.
Status MakeCudaKernel(Context* context, const Graph& g, NodeId n, std::unique_ptr<Kernel>* out);

// What makers are: Status ok and *out empty for a node that is not theirs.
using Maker = Status(Context* context, const Graph& g, NodeId n, std::unique_ptr<Kernel>* out);

}  // namespace distil::cuda
