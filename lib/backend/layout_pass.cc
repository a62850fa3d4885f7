#include "lib/backend/layout_pass.h"

#include <algorithm>

#include "lib/backend/convolution.h"

namespace distil {

LayoutPass::LayoutPass(const Graph& from, bool bf16)
    : from_(from), map_(from.value_count(), kNoValue), bf16_(bf16), read_(from.value_count(), false) {}

Status LayoutPass::Run(Graph* out) {
  const std::vector<NodeId> live = LiveNodes(from_);
  for (NodeId n : live)
    for (ValueId v : from_.node(n).in) read_[v] = true;
  for (NodeId n : live) {
    const Node& node = from_.node(n);
    switch (node.op) {
      case Op::kConv2d:
      case Op::kConv2dInput:
      case Op::kConv2dWeight: DISTIL_RETURN_IF_ERROR(Conv(node)); break;
      case Op::kMatMul: MatMul(node); break;
      case Op::kFused: Fused(node); break;
      case Op::kMaxPool:
      case Op::kMaxPoolScatter:
      case Op::kAvgPool:
      case Op::kAvgPoolGrad: Pool(node); break;
      default: MovesImages(node) ? Move(node) : Plain(node);
    }
    if (!to_.ok()) break;
  }
  for (auto& [name, v] : from_.outputs()) to_.Output(name, Want(v, Layout::kPlain, DType::kF32));
  for (auto& [var, v] : from_.assigns()) to_.Assign(var, Want(v, Layout::kPlain, DType::kF32));
  if (!from_.ok()) to_.Fail(from_.error());
  *out = std::move(to_);
  return {};
}

ValueId LayoutPass::Want(ValueId v, Layout layout, DType dtype, uint32_t opaque, int64_t groups) {
  const ValueId have = map_[v];
  if (have == kNoValue) return have;
  const Value& value = to_.value(have);
  if (value.index) return have;
  if (layout != Layout::kOpaque && !Spatial(value.shape) && value.layout != Layout::kOpaque) layout = Layout::kPlain;
  if (value.layout == layout && value.dtype == dtype && (layout != Layout::kOpaque || value.opaque == opaque))
    return have;
  // Weights are packed from row-major f32; one that was computed on the way may lie otherwise.
  const bool packs = layout == Layout::kOpaque && (value.layout != Layout::kPlain || value.dtype != DType::kF32);
  Node n;
  n.op = Op::kReorder;
  n.ints = {static_cast<int64_t>(layout), static_cast<int64_t>(dtype), opaque};
  if (layout == Layout::kOpaque || value.layout == Layout::kOpaque) n.ints.push_back(groups);
  n.in = {packs ? Want(v, Layout::kPlain, DType::kF32) : have};
  return Describe(Add(std::move(n)), layout, dtype, opaque);
}

ValueId LayoutPass::Natural(ValueId v) {
  return to_.value(map_[v]).layout == Layout::kOpaque ? Want(v, Layout::kPlain, DType::kF32) : map_[v];
}

ValueId LayoutPass::Add(Node n) {
  const NodeId id = to_.Add(std::move(n));
  return id == ~0u ? kNoValue : to_.node(id).out[0];
}

ValueId LayoutPass::Describe(ValueId v, Layout layout, DType dtype, uint32_t opaque) {
  if (v == kNoValue) return v;
  Value& value = to_.mutable_value(v);
  if (value.index) return v;
  value.layout = Spatial(value.shape) || layout == Layout::kOpaque ? layout : Layout::kPlain;
  value.dtype = dtype;
  value.opaque = opaque;
  return v;
}

void LayoutPass::Fused(const Node& node) {
  Node n = node;
  Layout prefer = Layout::kPlain;
  for (size_t i = 0; i < node.in.size(); ++i) {
    n.in[i] = Natural(node.in[i]);
    const Value& v = to_.value(n.in[i]);
    if (v.shape == node.fused->space && Spatial(v.shape) && v.layout != Layout::kPlain && prefer != Layout::kBlocked16)
      prefer = v.layout;
  }
  const NodeId id = to_.Add(std::move(n));
  if (id == ~0u) return;
  for (size_t o = 0; o < node.out.size(); ++o) {
    // What nobody reads but the caller, or the next step from a variable, is stored as they want it.
    const bool inside = node.fused->outs[o].reduce == FusedBody::kStore && read_[node.out[o]];
    const bool low = inside && Low(node.out[o]) && Spatial(node.fused->space);
    map_[node.out[o]] =
        Describe(to_.node(id).out[o], inside ? prefer : Layout::kPlain, low ? DType::kBF16 : DType::kF32);
  }
}

void LayoutPass::Pool(const Node& node) {
  // All operands alike. A maximum is sought among the numbers that are there, not among rounded ones, so that its
  // gradient goes to the same place.
  const Value first = to_.value(Natural(node.in[0]));
  const bool rounded = first.dtype == DType::kBF16 || node.op == Op::kAvgPoolGrad;
  const DType t = Low(node.out[0]) && rounded ? DType::kBF16 : DType::kF32;
  Layout layout = Layout::kPlain;
  bool free = true;  // every layout is as good
  for (ValueId v : node.in) {
    const Value& value = to_.value(Natural(v));
    if (value.layout != Layout::kPlain) layout = value.layout;
    free = free && !Spatial(value.shape);
  }
  if (free) layout = PoolLayout(first.shape[1]);
  Node n = node;
  for (size_t i = 0; i < node.in.size(); ++i) n.in[i] = Want(node.in[i], layout, t);
  map_[node.out[0]] = Describe(Add(std::move(n)), layout, t);
}

// Whether a node moves parts of images, or whole channels, and leaves images: any layout without blocks will do.
bool LayoutPass::MovesImages(const Node& n) const {
  if (n.in.empty() || n.out.empty()) return false;
  const Shape &x = from_.value(n.in[0]).shape, &y = from_.value(n.out[0]).shape;
  const int r = x.rank(), last = y.rank() - 1;
  if (!Spatial(x) || y.rank() < 4) return false;
  switch (n.op) {
    case Op::kSlice:
    case Op::kPad:
    case Op::kConcat: return true;
    case Op::kReshape: return x[0] == y[0] && x[r - 2] == y[last - 1] && x[r - 1] == y[last];
    case Op::kTranspose: return n.ints[0] == 0 && *(n.ints.end() - 2) == r - 2 && n.ints.back() == r - 1;
    default: return false;
  }
}

// Channels-last unless all lie row-major (in blocks, parts would have to be whole ones), and in f32 unless all are bf16.
void LayoutPass::Move(const Node& node) {
  Layout layout = Layout::kPlain;
  DType t = DType::kBF16;
  for (ValueId v : node.in) {
    const Value& value = to_.value(Natural(v));
    if (value.layout != Layout::kPlain) layout = Layout::kNhwc;
    if (value.dtype != DType::kBF16) t = DType::kF32;
  }
  Node n = node;
  for (ValueId& v : n.in) v = Want(v, layout, t);
  map_[node.out[0]] = Describe(Add(std::move(n)), layout, t);
}

void LayoutPass::Plain(const Node& node) {
  Node n = node;
  for (ValueId& v : n.in) v = Want(v, Layout::kPlain, DType::kF32);
  const NodeId id = to_.Add(std::move(n));
  if (id == ~0u) return;
  for (size_t o = 0; o < node.out.size(); ++o) map_[node.out[o]] = to_.node(id).out[o];
}

}  // namespace distil
