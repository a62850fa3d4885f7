// Runs the passes of a fused node through the interpreter of PTX.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "lib/backend/cuda/fused_code.h"
#include "lib/backend/cuda/fused_plan.h"
#include "tests/cuda/ptx_interpreter.h"

namespace distil::cuda {

inline std::vector<uint64_t> Arguments(const Pass& p, const std::vector<const void*>& in, const std::vector<void*>& out,
                                       void* workspace) {
  std::vector<uint64_t> a;
  for (const Memory& m : p.memory) {
    const void* base = m.where == Memory::kIn    ? in[static_cast<size_t>(m.index)]
                       : m.where == Memory::kOut ? out[static_cast<size_t>(m.index)]
                                                 : workspace;
    a.push_back(reinterpret_cast<uint64_t>(base));
  }
  if (p.flat) a.push_back(static_cast<uint64_t>(p.Count(false)));
  return a;
}

// The passes' kernels, assembled once.
class FusedRunner {
 public:
  explicit FusedRunner(FusedPlan plan) : plan_(std::move(plan)) {
    for (const Pass& p : plan_.passes) kernels_.emplace_back(FusedCode(p));
  }
  // `regions`: the memory of inputs and outputs. Returns what went wrong, or nothing.
  std::string Run(const std::vector<const void*>& in, const std::vector<void*>& out, std::vector<Region> regions,
                  bool backwards = false) const {
    std::vector<double> workspace(plan_.workspace / sizeof(double) + 1);
    std::memset(workspace.data(), 0xa5, workspace.size() * sizeof(double));
    regions.push_back({workspace.data(), plan_.workspace});
    for (size_t i = 0; i < kernels_.size(); ++i) {
      const Pass& p = plan_.passes[i];
      std::string why =
          kernels_[i].Run(p.blocks, p.splits, Arguments(p, in, out, workspace.data()), regions, backwards);
      if (!why.empty()) return "pass " + std::to_string(i) + ", " + why;
    }
    return "";
  }
  const FusedPlan& plan() const { return plan_; }

 private:
  FusedPlan plan_;
  std::vector<PtxKernel> kernels_;
};

}  // namespace distil::cuda
