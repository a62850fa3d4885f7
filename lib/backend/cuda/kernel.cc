#include "lib/backend/cuda/kernel.h"

#include "lib/backend/cuda/dnn.h"
#include "lib/backend/cuda/ops.h"

namespace distil::cuda {

Status MakeCudaKernel(Context* context, const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) {
  out->reset();
  for (Maker* make : {&MakeDnnKernel, &MakeOpKernel}) {
    DISTIL_RETURN_IF_ERROR(make(context, g, n, out));
    if (*out) return {};
  }
  return Unsupported("the CUDA backend has no kernel for " + Describe(g, g.node(n)));
}

}  // namespace distil::cuda
