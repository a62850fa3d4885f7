#include "lib/backend/cuda/cudnn_conv.h"

namespace distil::cuda {
namespace {

// Operation graph of one convolution. Descriptors live until the graph is finalised, which copies what it needs.
class ConvGraph {
 public:
  ConvGraph(const Cudnn& api, const ConvSpec& spec)
      : api_(api), s_(spec), type_(spec.bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT) {}

  Status Build(cudnnHandle_t handle, Descriptor* graph, int* inputs) {
    DISTIL_RETURN_IF_ERROR(Geometry());
    switch (s_.kind) {
      case ConvKind::kForward: DISTIL_RETURN_IF_ERROR(Forward(inputs)); break;
      case ConvKind::kInput: DISTIL_RETURN_IF_ERROR(ByInput()); break;
      case ConvKind::kWeight: DISTIL_RETURN_IF_ERROR(ByWeight()); break;
    }
    std::vector<cudnnBackendDescriptor_t> operations;
    for (const Descriptor& d : operations_) operations.push_back(d.get());
    Building b(api_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "operation graph");
    if (handle) b.Set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    b.Set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(operations.size()),
          operations.data());
    return b.Finish(graph);
  }

 private:
  // Strides of the layout. A tensor with one place only is the same in both, and described as its neighbours are.
  static std::vector<int64_t> Strides(const Shape& s, bool nhwc) {
    if (nhwc) return {s[1] * s[2] * s[3], 1, s[1] * s[3], s[1]};
    return {s[1] * s[2] * s[3], s[2] * s[3], s[3], 1};
  }
  bool Nhwc(const Shape& s, Layout layout) const {
    return layout == Layout::kNhwc || (s[2] * s[3] == 1 && UsesTensorCores(s_));
  }

  Status Tensor(int64_t id, const Shape& s, bool nhwc, cudnnDataType_t type, bool is_virtual, Descriptor* out) {
    Building b(api_, CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor");
    b.Set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
    b.Set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    b.Set(CUDNN_ATTR_TENSOR_DIMENSIONS, s.dims());
    b.Set(CUDNN_ATTR_TENSOR_STRIDES, Strides(s, nhwc));
    b.Set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16});
    b.Set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual);
    return b.Finish(out);
  }
  Status X(int64_t id, Descriptor* out) { return Tensor(id, s_.x, Nhwc(s_.x, s_.x_layout), type_, false, out); }
  Status Y(int64_t id, Descriptor* out) { return Tensor(id, s_.y, Nhwc(s_.y, s_.y_layout), type_, false, out); }
  Status W(int64_t id, Descriptor* out) { return Tensor(id, s_.w, Nhwc(s_.w, s_.w_layout), type_, false, out); }
  // A result that only the next operation sees: in f32, and never in memory.
  Status Between(Descriptor* out) {
    return Tensor(kOutputId + 1 + between_++, s_.y, Nhwc(s_.y, s_.y_layout), CUDNN_DATA_FLOAT, true, out);
  }

  Status Geometry() {
    const ConvAttrs& a = s_.attrs;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;  // what networks call a convolution
    Building b(api_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution");
    b.Set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    b.Set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    b.Set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2});
    b.Set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, a.stride);
    b.Set(CUDNN_ATTR_CONVOLUTION_DILATIONS, a.dilation);
    b.Set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, a.pad);
    b.Set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, a.pad);
    return b.Finish(&geometry_);
  }

  // y = relu(conv(x, w) + residual + bias). In this order: it is the one that cuDNN's ready-made engines know.
  Status Forward(int* inputs) {
    const ConvAttrs& a = s_.attrs;
    const int64_t bias_id = 3, residual_id = 3 + a.bias;
    *inputs = static_cast<int>(2 + a.bias + a.residual);
    int64_t left = a.residual + a.bias + a.relu;  // operations behind the convolution
    Descriptor x, w, y;
    DISTIL_RETURN_IF_ERROR(X(1, &x));
    DISTIL_RETURN_IF_ERROR(W(2, &w));
    DISTIL_RETURN_IF_ERROR(left ? Between(&y) : Y(kOutputId, &y));
    Building b(api_, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, "forward convolution");
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, geometry_);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0);
    DISTIL_RETURN_IF_ERROR(Operation(&b));
    if (a.residual) {
      Descriptor residual;
      DISTIL_RETURN_IF_ERROR(Y(residual_id, &residual));
      DISTIL_RETURN_IF_ERROR(Pointwise(CUDNN_POINTWISE_ADD, &residual, --left == 0, &y));
    }
    if (a.bias) {
      Descriptor bias;
      DISTIL_RETURN_IF_ERROR(
          Tensor(bias_id, {1, s_.y[1], 1, 1}, UsesTensorCores(s_), type_, /*is_virtual=*/false, &bias));
      DISTIL_RETURN_IF_ERROR(Pointwise(CUDNN_POINTWISE_ADD, &bias, --left == 0, &y));
    }
    if (a.relu) DISTIL_RETURN_IF_ERROR(Pointwise(CUDNN_POINTWISE_RELU_FWD, nullptr, --left == 0, &y));
    return {};
  }

  // *y = mode(*y, b); the last one is stored.
  Status Pointwise(cudnnPointwiseMode_t mode, const Descriptor* b, bool last, Descriptor* y) {
    Descriptor how, out;
    Building h(api_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise operation");
    h.Set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    h.Set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    DISTIL_RETURN_IF_ERROR(h.Finish(&how));
    DISTIL_RETURN_IF_ERROR(last ? Y(kOutputId, &out) : Between(&out));
    Building o(api_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "pointwise operation");
    o.Set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    o.Set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, *y);
    if (b) o.Set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    o.Set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, out);
    DISTIL_RETURN_IF_ERROR(Operation(&o));
    *y = std::move(out);
    return {};
  }

  Status ByInput() {
    Descriptor dy, w, dx;
    DISTIL_RETURN_IF_ERROR(Y(1, &dy));
    DISTIL_RETURN_IF_ERROR(W(2, &w));
    DISTIL_RETURN_IF_ERROR(X(kOutputId, &dx));
    Building b(api_, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, "convolution by input");
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, geometry_);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1.0);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0.0);
    return Operation(&b);
  }

  Status ByWeight() {
    Descriptor x, dy, dw;
    DISTIL_RETURN_IF_ERROR(X(1, &x));
    DISTIL_RETURN_IF_ERROR(Y(2, &dy));
    DISTIL_RETURN_IF_ERROR(W(kOutputId, &dw));
    Building b(api_, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, "convolution by weight");
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, geometry_);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 1.0);
    b.Set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 0.0);
    return Operation(&b);
  }

  Status Operation(Building* b) {
    Descriptor d;
    DISTIL_RETURN_IF_ERROR(b->Finish(&d));
    operations_.push_back(std::move(d));
    return {};
  }

  const Cudnn& api_;
  const ConvSpec& s_;
  cudnnDataType_t type_;
  int64_t between_ = 0;
  Descriptor geometry_;
  std::vector<Descriptor> operations_;
};

// All that a plan depends on.
std::string Key(const ConvSpec& s) {
  std::string key = Describe(s);
  for (int64_t v : {static_cast<int64_t>(s.x_layout), static_cast<int64_t>(s.w_layout),
                    static_cast<int64_t>(s.y_layout), s.attrs.algorithm})
    key += " " + std::to_string(v);
  return key;
}

}  // namespace

Status MakeConvPlan(const Cudnn& api, const CudnnTarget& target, const ConvSpec& spec, ConvPlan* out) {
  Descriptor graph;
  DISTIL_RETURN_IF_ERROR(ConvGraph(api, spec).Build(target.handle, &graph, &out->inputs));
  EngineRules rules;
  rules.tensor_cores = UsesTensorCores(spec);
  rules.winograd = (spec.attrs.algorithm & kWinograd) != 0;
  return ChoosePlan(api, target, graph, rules, &out->plan);
}

Status ConvPlans::Find(const ConvSpec& spec, std::shared_ptr<const ConvPlan>* out) {
  const auto [it, fresh] = entries_.try_emplace(Key(spec));
  Entry& e = it->second;
  if (fresh) {
    auto plan = std::make_shared<ConvPlan>();
    const Status s = MakeConvPlan(api_, target_, spec, plan.get());
    if (s.ok()) {
      e.plan = std::move(plan);
    } else {
      e.status = Status(s.code(), Describe(spec) + ": " + s.message());
    }
  }
  *out = e.plan;
  const Status status = e.status;
  if (!status.ok() && status.code() != Code::kUnsupported) entries_.erase(it);  // another time it may work
  return status;
}

Status Execute(const Cudnn& api, cudnnHandle_t handle, const ConvPlan& plan, const KernelArgs& args) {
  std::vector<int64_t> ids;
  std::vector<void*> addresses;
  for (int i = 0; i < plan.inputs; ++i) {
    ids.push_back(i + 1);
    addresses.push_back(const_cast<void*>(args.in[i]));
  }
  ids.push_back(kOutputId);
  addresses.push_back(args.out[0]);
  Building b(api, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "variant pack");
  b.Set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids);
  b.Set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, static_cast<int64_t>(addresses.size()),
        addresses.data());
  b.Set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &args.workspace);
  Descriptor pack;
  DISTIL_RETURN_IF_ERROR(b.Finish(&pack));
  return CudnnStatus(api, api.cudnnBackendExecute(handle, plan.plan.descriptor.get(), pack.get()), "convolution");
}

}  // namespace distil::cuda
