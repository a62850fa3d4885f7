#include "lib/backend/cuda/dnn.h"

#include "lib/backend/cuda/cudnn_conv.h"
#include "lib/backend/cuda/matmul.h"

namespace distil::cuda {
namespace {

ConvPlans& Plans(Context* context) {
  if (!context->conv_plans) {
    CudnnTarget target;
    target.handle = context->cudnn_handle();
    context->conv_plans = std::make_shared<ConvPlans>(context->cudnn(), target);
  }
  return *context->conv_plans;
}

class Convolution : public CudaKernel {
 public:
  Convolution(Context* context, std::shared_ptr<const ConvPlan> plan) : context_(*context), plan_(std::move(plan)) {}
  size_t workspace() const override { return plan_->plan.workspace; }
  Status Enqueue(const KernelArgs& args, cudaStream_t stream) override {
    const Cudnn& api = context_.cudnn();
    DISTIL_RETURN_IF_ERROR(CudnnStatus(api, api.cudnnSetStream(context_.cudnn_handle(), stream), "cuDNN's stream"));
    return Execute(api, context_.cudnn_handle(), *plan_, args);
  }

 private:
  Context& context_;
  std::shared_ptr<const ConvPlan> plan_;
};

class Matrices : public CudaKernel {
 public:
  Matrices(Context* context, std::unique_ptr<MatMulPlan> plan) : context_(*context), plan_(std::move(plan)) {}
  size_t workspace() const override { return plan_->workspace(); }
  Status Enqueue(const KernelArgs& args, cudaStream_t stream) override {
    return plan_->Enqueue(context_.cublaslt_handle(), args, stream);
  }

 private:
  Context& context_;
  std::unique_ptr<MatMulPlan> plan_;
};

}  // namespace

ConvCheck CheckWithCudnn(Context* context) {
  return [context](const ConvSpec& spec) {
    std::shared_ptr<const ConvPlan> plan;
    return Plans(context).Find(spec, &plan);
  };
}

Status MakeDnnKernel(Context* context, const Graph& g, NodeId id, std::unique_ptr<Kernel>* out) {
  const Node& n = g.node(id);
  if (IsConv(n.op)) {
    std::shared_ptr<const ConvPlan> plan;
    DISTIL_RETURN_IF_ERROR(Plans(context).Find(SpecOf(g, n), &plan));
    *out = std::make_unique<Convolution>(context, std::move(plan));
  } else if (n.op == Op::kMatMul) {
    std::unique_ptr<MatMulPlan> plan;
    DISTIL_RETURN_IF_ERROR(
        MatMulPlan::Make(context->cublaslt(), context->cublaslt_handle(), MatMulSpecOf(g, n), &plan));
    *out = std::make_unique<Matrices>(context, std::move(plan));
  }
  return {};
}

}  // namespace distil::cuda
