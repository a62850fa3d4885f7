// Backend: what a device must provide. The only code that knows memory layouts, and the only code that computes.
//
// A graph reaches a backend in three steps. Optimize rewrites it into what the backend runs well: composites expanded
// or kept, batch norm folded into frozen convolutions, pointwise chains fused, layouts and number formats chosen, with
// Reorder nodes where they change. MakeKernel then turns each node into a Kernel. At last Execute runs a planned list
// of launches whose addresses never change, so a GPU backend can capture it once and replay it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/backend/algorithms.h"
#include "lib/backend/images.h"
#include "lib/graph/graph.h"
#include "lib/graph/variable.h"

namespace distil {

struct CompileOptions {
  bool bf16 = false;      // convolutions and matmuls of networks compute in bf16; weights, statistics and losses in f32
  bool winograd = false;  // admit Winograd convolutions where they are faster (f32; slightly different rounding)
  bool tf32 = false;      // f32 convolutions and matmuls may round their factors to 10 bits of mantissa (NVIDIA GPUs)
  Algorithms* algorithms = nullptr;  // followed where it lists something, and added to by a search; null: rules
};

struct KernelArgs {
  const void* const* in;  // one address per input
  void* const* out;       // one per output
  void* workspace;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void Run(const KernelArgs& args) = 0;
  virtual size_t workspace() const { return 0; }
  // Whether output `out` may share its memory with input `in` when that input is not needed afterwards: the kernel
  // reads `in` only at the place it is about to write, and before any of its outputs is written there.
  virtual bool MayAlias(int in, int out) const {
    (void)in, (void)out;
    return false;
  }
  // Whether output `out` must start as a copy of input `in` (a residual that a convolution adds onto): the planner
  // gives both the same memory when it can, and otherwise the kernel copies, since it sees different addresses.
  virtual int PreferAlias(int out) const {
    (void)out;
    return -1;
  }
};

struct Launch {
  Kernel* kernel;
  std::vector<const void*> in;
  std::vector<void*> out;
  void* workspace;
  std::vector<size_t> in_bytes = {}, out_bytes = {};  // of each; of the workspace: kernel->workspace()
};

// A way for uint8 images into programs that leaves the host out: they are kept on the device, or sent as bytes while it
// computes, and become network input there (lib/backend/images.h).
class ImageFeed {
 public:
  struct Batch {
    int64_t count = 0;
    const uint8_t* images = nullptr;  // [count,h,w,c] in host memory; null: those of the kept set, as `labels`
    const int32_t* labels = nullptr;  // may be null where none are wanted
    const uint32_t* ids = nullptr;    // keys of the changes, and the places of samples in a whole set
    bool by_id = false;               // images and labels are those of a whole set
    uint32_t epoch = 0;
  };
  // Inputs of a program, in device memory; null: not wanted.
  struct Target {
    float* images = nullptr;
    int32_t *labels = nullptr, *ids = nullptr;
  };

  virtual ~ImageFeed() = default;
  // Copies a set to the device if it takes no more than a quarter of the device's memory and there is room; once.
  virtual Status Keep(const uint8_t* images, const int32_t* labels, int64_t count, bool* kept) = 0;
  // Fills a program's inputs. Host memory may change when it returns; ordered with the launches of Execute.
  virtual Status Fill(const Batch& batch, const Target& target) = 0;
  // Device memory: of a kept set, and of what batches of this size pass through.
  virtual size_t bytes(int64_t batch) const = 0;
};

// Small results that come to the host by themselves, some runs after they were computed, so that it need not wait for
// each. A ring of slots, which the caller counts.
class Readback {
 public:
  virtual ~Readback() = default;
  // Begins to copy device memory into a slot, behind the launches that Execute was given before.
  virtual Status Start(size_t slot, const void* device) = 0;
  // Whether a slot's copy is there; with `wait` it is, when this returns.
  virtual Status Poll(size_t slot, bool wait, bool* there) = 0;
  virtual const void* data(size_t slot) const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;          // "reference", "onednn", "cuda"
  virtual std::string description() const = 0;        // library versions, instruction set: goes into run records
  virtual DType real() const { return DType::kF32; }  // how variables, inputs and outputs are kept
  virtual bool host() const { return true; }          // whether the host may read and write memory of this device

  // Rewrites `g` for this backend. Outputs, inputs and variables stay row-major in real() or int32.
  virtual Status Optimize(Graph* g, const CompileOptions& options) = 0;
  virtual Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) = 0;
  virtual std::unique_ptr<Kernel> MakeCopy(size_t bytes) = 0;  // in[0] to out[0]
  virtual size_t Bytes(const Graph& g, ValueId v) const = 0;   // memory of a value in its layout

  virtual size_t alignment() const { return 64; }  // of everything that Allocate gives and the planner places
  // How eagerly the planner reuses memory. A launch takes over memory of a launch fewer than this many before it only
  // when it must wait for that launch anyway, because it needs its results; of others, always. 1 packs tightest; a
  // backend that runs launches at the same time asks for more, so that sharing does not put them in a line.
  virtual int reuse_distance() const { return 1; }

  // Whether so many bytes more can be had; if not, kOutOfMemory with what is asked for and what is free.
  virtual Status HasRoom(size_t bytes) {
    (void)bytes;
    return {};
  }
  virtual Status Allocate(size_t bytes, Buffer* out) = 0;  // aligned, zeroed
  // The bytes of `host` may change when Upload returns; those of Download are there when it returns. Ordered with the
  // launches of Execute.
  virtual Status Upload(void* device, const void* host, size_t bytes) = 0;
  virtual Status Download(void* host, const void* device, size_t bytes) = 0;
  // Runs the launches as if in order: launches that share no memory which one of them writes may run at the same time.
  // It may return before they are done; what goes wrong later is reported by a later call. `cache` belongs to the
  // caller's program and starts empty: a captured graph can live there.
  virtual Status Execute(std::span<const Launch> launches, std::shared_ptr<void>* cache) = 0;

  // A feed that changes images so; the addresses in `change` are host memory. None: the host prepares images itself.
  virtual Status MakeImageFeed(const ImageChange& change, std::unique_ptr<ImageFeed>* out) {
    (void)change;
    out->reset();
    return {};
  }
  // Slots of `bytes` each. None: what Execute was given is done when it returns.
  virtual Status MakeReadback(size_t bytes, size_t slots, std::unique_ptr<Readback>* out) {
    (void)bytes, (void)slots;
    out->reset();
    return {};
  }
  // How long one launch takes. The host reads `clock` (seconds) around a run; a GPU repeats the launch and reads its own
  // clock, so what the launch writes in place is not what one run would write.
  virtual Status Time(const Launch& launch, double (*clock)(), double* seconds) {
    std::shared_ptr<void> cache;
    const double begin = clock();
    DISTIL_RETURN_IF_ERROR(Execute(std::span(&launch, 1), &cache));
    *seconds = clock() - begin;
    return {};
  }
  // Pieces of work that Execute gave the device for a list whose `cache` this is; 0 when it keeps no count.
  virtual size_t Work(const std::shared_ptr<void>& cache) const {
    (void)cache;
    return 0;
  }
};

// Memory and threads, as the user of the library wants them.
struct HostOptions {
  int threads = 0;  // 0: as many as the OpenMP runtime would use
  // Optional allocator for everything a program computes with (64-byte aligned); malloc's kin when empty.
  std::function<void*(size_t bytes)> allocate;
  std::function<void(void*, size_t bytes)> release;
};

// 64-byte aligned, zeroed host memory through the user's allocator.
Status AllocateHost(const HostOptions& options, size_t bytes, Buffer* out);

// The backends of this build.
std::unique_ptr<Backend> MakeReferenceBackend(const HostOptions& options, DType real);  // kF32 or kF64
std::unique_ptr<Backend> MakeOneDnnBackend(const HostOptions& options);
// The device-th NVIDIA GPU. Errors say what is missing: in this build, on this machine, or of the device.
Status MakeCudaBackend(int device, const HostOptions& options, std::unique_ptr<Backend>* out);

}  // namespace distil
