// Which of cuDNN's engines runs an operation graph: the first in cuDNN's own order of preference that computes as
// distil promises, that builds, and whose workspace is within the limit.
//
// The promise is equal bits for equal input, so engines that cuDNN notes as nondeterministic (they add up with atomics)
// are out. So is arithmetic that was not asked for: tensor cores in f32 (they round factors to TF32), f32 inputs
// converted to something shorter, sums in less than f32, transforms that round otherwise. Engines that are compiled at
// run time are left out as well: they need the driver's compiler, and seconds.
//
// The choice is a function of the graph, of cuDNN's version and of the device, not of timings or of free memory: a run
// that was resumed chooses as it did before.
#pragma once

#include <string>
#include <vector>

#include "lib/backend/cuda/cudnn_graph.h"

namespace distil::cuda {

// Where a plan is to run: on the device of a handle, or on one that is only described (cuDNN 9.8 and later), which
// allows to choose and build plans where no GPU is, but not to run them.
struct CudnnTarget {
  cudnnHandle_t handle = nullptr;
  const Descriptor* device = nullptr;  // when there is no handle
};

struct EngineRules {
  bool tensor_cores = false;  // bf16, or f32 where TF32 is wanted
  bool winograd = false;
  int64_t workspace = int64_t{256} << 20;  // bytes
};

struct EngineTraits {
  int64_t index = 0;
  std::vector<cudnnBackendNumericalNote_t> numerical;
  std::vector<cudnnBackendBehaviorNote_t> behavior;
};

// nullptr when the rules admit the engine, otherwise why not: "nondeterministic".
const char* Refusal(const EngineTraits& engine, const EngineRules& rules);

struct Plan {
  Descriptor config, descriptor;  // of the engine, and of the plan that was made from it
  size_t workspace = 0;
  std::string engine;  // index and knobs: "67 2=4 13=0"
};

// Unsupported when no engine remains; the message counts what was refused and why.
Status ChoosePlan(const Cudnn& api, const CudnnTarget& target, const Descriptor& graph, const EngineRules& rules,
                  Plan* out);

}  // namespace distil::cuda
