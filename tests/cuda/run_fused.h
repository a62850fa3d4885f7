// Runs the passes of a fused node through the interpreter of PTX.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "lib/backend/cuda/fused_code.h"
#include "lib/backend/cuda/fused_plan.h"
#include "tests/cuda/ptx_interpreter.h"

namespace distil::cuda {

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
      std::string why = kernels_[i].Run(
          p.blocks, p.splits, FusedArguments(p, {in.data(), out.data(), workspace.data()}), regions, backwards);
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
