#include "lib/backend/cuda/layout.h"

#include "lib/backend/layout_pass.h"
#include "lib/expr/lower.h"
#include "lib/graph/fold.h"
#include "lib/graph/fuse.h"

namespace distil::cuda {
namespace {

// Multiply-adds from which a product is worth the two conversions of its factors to bf16: about the time of two small
// launches at the rate of f32 arithmetic. (An estimate from data sheets, not a measurement.)
constexpr int64_t kLargeProduct = int64_t{1} << 26;

class Assigner : public LayoutPass {
 public:
  Assigner(const ConvCheck& check, const CompileOptions& options, const Graph& from)
      : LayoutPass(from, options.bf16), check_(check), options_(options) {}

 private:
  Layout PoolLayout(int64_t) const override { return options_.bf16 || options_.tf32 ? Layout::kNhwc : Layout::kPlain; }

  Status Conv(const Node& node) override {
    ConvSpec s = SpecOf(from_, node);
    s.attrs.algorithm = (options_.tf32 ? kTf32 : 0) | (options_.winograd ? kWinograd : 0);
    s.bf16 = Low(node.out[0]);
    Lay(&s);
    if (s.attrs.bias || s.attrs.residual || s.attrs.relu) {
      Status status = check_(s);
      if (Unable(status) && !s.attrs.bias) {  // cuDNN's engines for a sum or a ReLU expect a bias
        s.attrs.bias = 1;
        status = check_(s);
      }
      return Unable(status) ? Split(node, s) : Emit(node, s, std::move(status));
    }
    return Alone(node, &s);
  }

  static bool Unable(const Status& s) { return !s.ok() && s.code() == Code::kUnsupported; }

  // With nothing behind it: in f32 where cuDNN cannot do it in bf16.
  Status Alone(const Node& node, ConvSpec* s) {
    Status status = check_(*s);
    if (Unable(status) && s->bf16) {
      s->bf16 = false;
      Lay(s);
      status = check_(*s);
    }
    return Emit(node, *s, std::move(status));
  }

  static void Lay(ConvSpec* s) {
    const Layout images = UsesTensorCores(*s) ? Layout::kNhwc : Layout::kPlain;
    s->x_layout = Spatial(s->x) ? images : Layout::kPlain;
    s->w_layout = Spatial(s->w) ? images : Layout::kPlain;
    s->y_layout = Spatial(s->y) ? images : Layout::kPlain;
  }

  // The convolution as `s` says, unless `status` says that it cannot be.
  Status Emit(const Node& node, const ConvSpec& s, Status status) {
    DISTIL_RETURN_IF_ERROR(status);
    const DType t = s.bf16 ? DType::kBF16 : DType::kF32;
    Node n = node;
    n.ints = s.attrs.Pack();
    Layout layout = Layout::kPlain;
    switch (s.kind) {
      case ConvKind::kForward:
        n.in = {Want(node.in[0], s.x_layout, t), Want(node.in[1], s.w_layout, t)};
        if (s.attrs.bias) n.in.push_back(HasBias(node) ? Want(node.in[2], Layout::kPlain, t) : Zeros(s.y[1], t));
        if (s.attrs.residual) n.in.push_back(Want(node.in.back(), s.y_layout, t));
        layout = s.y_layout;
        break;
      case ConvKind::kInput:
        n.in = {Want(node.in[0], s.y_layout, t), Want(node.in[1], s.w_layout, t)};
        layout = s.x_layout;
        break;
      case ConvKind::kWeight:
        n.in = {Want(node.in[0], s.x_layout, t), Want(node.in[1], s.y_layout, t)};
        layout = s.w_layout;
        break;
    }
    map_[node.out[0]] = Describe(Add(std::move(n)), layout, t);
    return {};
  }

  static bool HasBias(const Node& node) { return ConvAttrs::Unpack(node.ints).bias; }
  ValueId Zeros(int64_t n, DType t) {
    const ValueId zeros = to_.AddValue(Op::kData, {}, {n}, std::vector<double>(static_cast<size_t>(n), 0.0));
    if (t == DType::kF32) return zeros;
    Node convert;
    convert.op = Op::kReorder;
    convert.in = {zeros};
    convert.ints = {static_cast<int64_t>(Layout::kPlain), static_cast<int64_t>(t), 0};
    return Describe(Add(std::move(convert)), Layout::kPlain, t);
  }

  // The convolution by itself, and what was fused behind it as a Fused node: relu(conv + bias + residual).
  Status Split(const Node& node, ConvSpec s) {
    const ConvAttrs whole = ConvAttrs::Unpack(node.ints);
    s.attrs.bias = s.attrs.residual = s.attrs.relu = 0;
    Node alone = node;
    alone.in.resize(2);
    DISTIL_RETURN_IF_ERROR(Alone(alone, &s));

    auto body = std::make_shared<FusedBody>();
    body->space = s.y;
    Node fused;
    fused.op = Op::kFused;
    auto load = [&](ValueId v) {
      fused.in.push_back(v);
      body->code.push_back({FusedBody::kLoad, Op::kInput, {static_cast<int32_t>(fused.in.size()) - 1, 0, 0}, 0});
      return static_cast<int32_t>(body->code.size()) - 1;
    };
    auto apply = [&](Op op, int32_t a, int32_t b) {
      body->code.push_back({FusedBody::kOp, op, {a, b, 0}, 0});
      return static_cast<int32_t>(body->code.size()) - 1;
    };
    int32_t y = load(map_[node.out[0]]);
    if (whole.bias) {
      const ValueId bias = Want(node.in[2], Layout::kPlain, DType::kF32);
      y = apply(Op::kAdd, y, load(to_.AddValue(Op::kReshape, {bias}, {1, s.y[1], 1, 1})));
    }
    if (whole.residual) y = apply(Op::kAdd, y, load(Natural(node.in.back())));
    if (whole.relu) y = apply(Op::kRelu, y, 0);
    body->outs.push_back({y, FusedBody::kStore, s.y});
    fused.fused = std::move(body);
    map_[node.out[0]] = Describe(Add(std::move(fused)), s.y_layout, Low(node.out[0]) ? DType::kBF16 : DType::kF32);
    return {};
  }

  // Factors in bf16 where the product is large, f32 sums and result always.
  void MatMul(const Node& node) override {
    const Shape& a = from_.value(node.in[0]).shape;
    const int64_t k = a[a.rank() - (node.ints[0] ? 2 : 1)];
    const bool low = Low(node.out[0]) && from_.value(node.out[0]).shape.elements() >= kLargeProduct / k;
    Node n = node;
    n.ints = {node.ints[0], node.ints[1], options_.tf32 ? kTf32 : 0};
    for (ValueId& v : n.in) v = Want(v, Layout::kPlain, low ? DType::kBF16 : DType::kF32);
    map_[node.out[0]] = Describe(Add(std::move(n)), Layout::kPlain, DType::kF32);
  }

  const ConvCheck& check_;
  const CompileOptions& options_;
};

}  // namespace

Status OptimizeGraph(const ConvCheck& check, const CompileOptions& options, Graph* g) {
  // No composite is kept: cuDNN's batch norm would be a kernel of its own, while the reductions and the pointwise
  // formula of an expanded one join the passes that read and write the same images anyway.
  *g = Fuse(Fold(Lower(*g, [](const Node&) { return false; })));
  Graph to;
  DISTIL_RETURN_IF_ERROR(Assigner(check, options, *g).Run(&to));
  *g = std::move(to);
  return {};
}

}  // namespace distil::cuda
