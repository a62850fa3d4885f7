// LaunchGraph: a list of launches captured as one CUDA graph. Every launch becomes a node, or a few, that waits for the
// launches whose memory it shares (hazards.h) and for no others, so the driver runs what is independent at the same
// time: a teacher's forward pass beside the student's, weights' gradients beside images'. Small launches of equal code
// run as one (batch.h): the updates of all parameters.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <span>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/context.h"

namespace distil::cuda {

class LaunchGraph {
 public:
  // Enqueues every launch once into a capture; runs nothing. `context` is locked by the caller and outlives the graph.
  static Status Capture(Context* context, std::span<const Launch> launches, std::unique_ptr<LaunchGraph>* out);
  ~LaunchGraph();
  // Captures into `cache` in the first call and whenever the launches are others than before, and runs the graph.
  static Status Replay(Context* context, std::span<const Launch> launches, std::shared_ptr<void>* cache);

  // Whether it was captured from these kernels at these addresses.
  bool Fits(std::span<const Launch> launches) const;
  // Starts it behind what the context's stream was given before.
  Status Run() const;
  size_t nodes() const { return nodes_; }

 private:
  explicit LaunchGraph(Context* context) : context_(context) {}
  static void Addresses(std::span<const Launch> launches, std::vector<const void*>* out);

  Context* context_;
  std::vector<const void*> addresses_;
  void* tables_ = nullptr;  // of batched launches, in device memory
  cudaGraphExec_t exec_ = nullptr;
  size_t nodes_ = 0;
};

}  // namespace distil::cuda
