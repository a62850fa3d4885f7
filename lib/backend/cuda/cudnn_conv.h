// Convolutions as cuDNN plans: the forward one with residual, bias and ReLU behind it as one operation graph, and both
// gradients (the one by input is transposed convolution as well).
#pragma once

#include <cuda_runtime.h>

#include <map>
#include <memory>
#include <string>

#include "lib/backend/backend.h"
#include "lib/backend/convolution.h"
#include "lib/backend/cuda/cudnn_engines.h"
#include "lib/backend/cuda/layout.h"

namespace distil::cuda {

// A plan's tensors have unique ids: those of the node's inputs are 1, 2, ... in order, that of its output is this one.
inline constexpr int64_t kOutputId = 16;

struct ConvPlan {
  Plan plan;
  int inputs = 2;
};

Status MakeConvPlan(const Cudnn& api, const CudnnTarget& target, const ConvSpec& spec, ConvPlan* out);

// Plans by what they compute: layers with equal shapes share theirs, and so do programs.
class ConvPlans {
 public:
  // The handle or the device of `target` outlives this.
  ConvPlans(const Cudnn& api, const CudnnTarget& target) : api_(api), target_(target) {}
  // Unsupported where no engine will do; the message names the convolution and what cuDNN said.
  Status Find(const ConvSpec& spec, std::shared_ptr<const ConvPlan>* out);

 private:
  struct Entry {
    Status status;
    std::shared_ptr<const ConvPlan> plan;
  };
  const Cudnn& api_;
  CudnnTarget target_;
  std::map<std::string, Entry> entries_;
};

// Enqueues a plan on the stream that `handle` has been given: in[i] and out[0] of `args`, and its workspace.
Status Execute(const Cudnn& api, cudnnHandle_t handle, const ConvPlan& plan, const KernelArgs& args);

}  // namespace distil::cuda
