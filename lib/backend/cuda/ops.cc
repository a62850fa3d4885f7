#include "lib/backend/cuda/ops.h"

#include <algorithm>

#include "lib/backend/cuda/fused_code.h"
#include "lib/backend/cuda/jit.h"
#include "lib/backend/cuda/work.h"

namespace distil::cuda {
namespace {

class WorkKernel : public CudaKernel, public Batchable {
 public:
  WorkKernel(std::string name, Work work) : name_(std::move(name)), work_(std::move(work)) {}

  Status Load() {
    code_.resize(work_.steps.size());
    for (size_t i = 0; i < code_.size(); ++i)
      if (const Step& s = work_.steps[i]; s.pass)
        DISTIL_RETURN_IF_ERROR(JitKernel::Load(FusedCode(*s.pass), &code_[i]));
    if (Flat()) batch_key_ = FusedCode(*work_.steps[0].pass, /*many=*/true);
    return {};
  }

  size_t workspace() const override { return work_.workspace; }
  bool MayAlias(int in, int out) const override {
    return std::find(work_.aliases.begin(), work_.aliases.end(), std::pair(in, out)) != work_.aliases.end();
  }
  Status Enqueue(const KernelArgs& args, cudaStream_t stream) override {
    for (size_t i = 0; i < code_.size(); ++i) {
      const Step& s = work_.steps[i];
      if (s.pass)
        DISTIL_RETURN_IF_ERROR(code_[i]->Launch(s.pass->blocks, s.pass->splits, FusedArguments(*s.pass, args), stream));
      else if (const kernels::Error e = s.run(args, stream))
        return Internal(name_ + ": " + e);
    }
    return {};
  }

  const Batchable* batch() const override { return batch_key_.empty() ? nullptr : this; }
  std::string_view key() const override { return batch_key_; }
  void AddTo(const KernelArgs& args, BatchTable* table) const override {
    const Pass& p = *work_.steps[0].pass;
    table->Add(FusedArguments(p, args), p.blocks);
  }
  Status LoadMany() const override { return JitKernel::Load(batch_key_, &batch_code_); }
  Status EnqueueMany(const uint64_t* rows, const uint32_t* blocks, int64_t count, cudaStream_t stream) const override {
    return batch_code_->Launch(count, 1, {reinterpret_cast<uint64_t>(rows), reinterpret_cast<uint64_t>(blocks)},
                               stream);
  }

 private:
  bool Flat() const {
    return work_.steps.size() == 1 && work_.steps[0].pass && work_.steps[0].pass->flat &&
           work_.steps[0].pass->Count(false) <= kBatchElements;
  }

  std::string name_;
  Work work_;
  std::vector<std::shared_ptr<const JitKernel>> code_;  // per step
  std::string batch_key_;
  mutable std::shared_ptr<const JitKernel> batch_code_;
};

}  // namespace

Status MakeOpKernel(Context*, const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) {
  Work work;
  DISTIL_RETURN_IF_ERROR(MakeWork(g, g.node(n), &work));
  if (work.steps.empty()) return {};
  auto kernel = std::make_unique<WorkKernel>(Describe(g, g.node(n)), std::move(work));
  DISTIL_RETURN_IF_ERROR(kernel->Load());
  *out = std::move(kernel);
  return {};
}

}  // namespace distil::cuda
