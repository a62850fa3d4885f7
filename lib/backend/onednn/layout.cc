#include "lib/backend/onednn/layout.h"

#include <algorithm>

namespace distil::onednn {
namespace {

bool IsConv(Op op) { return op == Op::kConv2d || op == Op::kConv2dInput || op == Op::kConv2dWeight; }
bool IsPool(Op op) {
  return op == Op::kMaxPool || op == Op::kMaxPoolScatter || op == Op::kAvgPool || op == Op::kAvgPoolGrad;
}
// An image with something to gain from a layout: [n,c,1,1] is the same in all of them.
bool Spatial(const Shape& s) { return s.rank() == 4 && s[2] * s[3] > 1; }

ConvKind KindOf(Op op) {
  return op == Op::kConv2d ? ConvKind::kForward : op == Op::kConv2dInput ? ConvKind::kInput : ConvKind::kWeight;
}

// Winograd: 3x3 kernels at stride 1, with channels enough to pay for the transforms. (Measured with bench/kernels.)
bool WinogradFits(const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  for (int i = 0; i < 2; ++i)
    if (s.w[2 + i] != 3 || a.stride[i] != 1 || a.dilation[i] != 1 || a.pad[i] != 1) return false;
  const int64_t least = s.kind == ConvKind::kWeight || a.residual ? 64 : 32;
  return !s.bf16 && a.groups == 1 && s.x[1] % 16 == 0 && s.y[1] % 16 == 0 && std::min(s.x[1], s.y[1]) >= least;
}

// What oneDNN 2.6 gets wrong, found by tests/ops on random shapes. Such convolutions compute otherwise.
bool WrongInBf16(const ConvSpec& s) {
  // jit_bf16_1x1, backward by data: odd output channels. Backward by weights: a single column at stride 2.
  if (s.kind == ConvKind::kInput) return s.w[2] * s.w[3] == 1 && s.y[1] % 2;
  return s.kind == ConvKind::kWeight && s.x[3] == 1 && s.attrs.stride[1] > 1;
}
bool Crashes(const ConvSpec& s) {  // brgconv with post-ops: an output row that sees nothing but padding
  const ConvAttrs& a = s.attrs;
  for (int i = 0; i < 2; ++i)
    if (a.pad[i] > a.dilation[i] * (s.w[2 + i] - 1)) return true;
  return false;
}

class Assigner {
 public:
  Assigner(const Library& library, const CompileOptions& options, const Graph& from)
      : library_(library), options_(options), from_(from), fixed_(FixedValues(from)) {}

  Status Run(Graph* out) {
    map_.assign(from_.value_count(), kNoValue);
    for (NodeId n : LiveNodes(from_)) {
      const Node& node = from_.node(n);
      if (IsConv(node.op))
        DISTIL_RETURN_IF_ERROR(Conv(node));
      else if (node.op == Op::kFused)
        Fused(node);
      else if (IsPool(node.op))
        Pool(node);
      else
        Plain(node);
      if (!to_.ok()) break;
    }
    for (auto& [name, v] : from_.outputs()) to_.Output(name, Want(v, Layout::kPlain, DType::kF32));
    for (auto& [var, v] : from_.assigns()) to_.Assign(var, Want(v, Layout::kPlain, DType::kF32));
    if (!from_.ok()) to_.Fail(from_.error());
    *out = std::move(to_);
    return {};
  }

 private:
  // `v` of the old graph in a layout and format: itself, or a Reorder of it (the same one for every asker).
  ValueId Want(ValueId v, Layout layout, DType dtype, uint32_t opaque = 0) {
    const ValueId have = map_[v];
    const Value& value = to_.value(have);
    if (value.index) return have;
    if (layout != Layout::kOpaque && !Spatial(value.shape) && value.layout != Layout::kOpaque) layout = Layout::kPlain;
    if (value.layout == layout && value.dtype == dtype && (layout != Layout::kOpaque || value.opaque == opaque))
      return have;
    // Weights are packed from row-major f32; one that was computed on the way may lie otherwise.
    const bool packs = layout == Layout::kOpaque && (value.layout != Layout::kPlain || value.dtype != DType::kF32);
    Node n;
    n.op = Op::kReorder;
    n.in = {packs ? Want(v, Layout::kPlain, DType::kF32) : have};
    n.ints = {static_cast<int64_t>(layout), static_cast<int64_t>(dtype), opaque};
    if (layout == Layout::kOpaque || value.layout == Layout::kOpaque) n.ints.push_back(groups_);
    return Describe(Add(std::move(n)), layout, dtype, opaque);
  }
  ValueId Natural(ValueId v) {  // as it is, unless only a convolution can read it
    return to_.value(map_[v]).layout == Layout::kOpaque ? Want(v, Layout::kPlain, DType::kF32) : map_[v];
  }
  ValueId Add(Node n) {
    const NodeId id = to_.Add(std::move(n));
    return id == ~0u ? kNoValue : to_.node(id).out[0];
  }
  ValueId Describe(ValueId v, Layout layout, DType dtype, uint32_t opaque = 0) {
    if (v == kNoValue) return v;
    Value& value = to_.mutable_value(v);
    if (value.index) return v;
    value.layout = Spatial(value.shape) || layout == Layout::kOpaque ? layout : Layout::kPlain;
    value.dtype = dtype;
    value.opaque = opaque;
    return v;
  }
  bool Low(ValueId v) const { return options_.bf16 && from_.value(v).low; }

  Layout LayoutFor(int64_t channels) const {
    return library_.wide() && channels % 16 == 0 ? Layout::kBlocked16 : Layout::kNhwc;
  }

  // The layouts of a convolution's images, best first: both in blocks, or a first layer's images as they come, or both
  // channels-last, or both row-major.
  std::vector<std::pair<Layout, Layout>> LayoutsFor(const ConvSpec& s) const {
    std::vector<std::pair<Layout, Layout>> ways;
    if (LayoutFor(s.y[1]) == Layout::kBlocked16) {
      if (LayoutFor(s.x[1]) == Layout::kBlocked16) ways.emplace_back(Layout::kBlocked16, Layout::kBlocked16);
      if (s.x[1] <= 4) ways.emplace_back(Layout::kPlain, Layout::kBlocked16);
    }
    ways.emplace_back(Layout::kNhwc, Layout::kNhwc);
    ways.emplace_back(Layout::kPlain, Layout::kPlain);
    return ways;
  }

  // Layouts and algorithm of a convolution, and what its weight becomes: the first way for which oneDNN has more than
  // its reference code.
  Status Choose(ConvSpec* s, bool fixed, OpaqueLayout* weight) const {
    Status status;
    ConvSpec first;
    const auto ways = LayoutsFor(*s);
    for (size_t i = 0; i < ways.size(); ++i) {
      s->x_layout = Spatial(s->x) ? ways[i].first : Layout::kPlain;
      s->y_layout = Spatial(s->y) ? ways[i].second : Layout::kPlain;
      if (i == 0) first = *s;
      if (i == 0 && options_.winograd && WinogradFits(*s)) {
        s->attrs.algorithm = fixed || s->kind != ConvKind::kForward ? kWinograd : kWinogradInside;
        if (library_.WeightLayout(*s, weight).ok()) return {};
        s->attrs.algorithm = kDirect;
      }
      bool slow = false;
      status = library_.WeightLayout(*s, weight, &slow);
      if (status.ok() && !slow) return {};
    }
    *s = first;
    return library_.WeightLayout(*s, weight);
  }

  Status Conv(const Node& node) {
    ConvSpec s{KindOf(node.op), {}, {}, {}, ConvAttrs::Unpack(node.ints), Layout::kPlain, Layout::kPlain, false};
    const Shape &a = from_.value(node.in[0]).shape, &b = from_.value(node.in[1]).shape,
                &y = from_.value(node.out[0]).shape;
    s.x = s.kind == ConvKind::kInput ? y : a;
    s.w = s.kind == ConvKind::kWeight ? y : b;
    s.y = s.kind == ConvKind::kForward ? y : s.kind == ConvKind::kInput ? a : b;
    if (Crashes(s)) {  // the reference kernels run it
      Plain(node);
      return {};
    }
    s.bf16 = Low(node.out[0]) && !WrongInBf16(s);
    OpaqueLayout weight;
    DISTIL_RETURN_IF_ERROR(Choose(&s, fixed_[node.in[1]], &weight));
    const DType t = s.bf16 ? DType::kBF16 : DType::kF32;
    const auto opaque = static_cast<uint32_t>(to_.opaque().size());
    to_.opaque().push_back(weight);
    groups_ = s.attrs.groups;
    Node n = node;
    n.ints = s.attrs.Pack();
    if (s.kind == ConvKind::kForward) {
      n.in = {Want(node.in[0], s.x_layout, t), Want(node.in[1], Layout::kOpaque, t, opaque)};
      if (s.attrs.bias) n.in.push_back(Want(node.in[2], Layout::kPlain, DType::kF32));
      if (s.attrs.residual) n.in.push_back(Want(node.in.back(), s.y_layout, t));
    } else if (s.kind == ConvKind::kInput) {
      n.in = {Want(node.in[0], s.y_layout, t), Want(node.in[1], Layout::kOpaque, t, opaque)};
    } else {
      n.in = {Want(node.in[0], s.x_layout, t), Want(node.in[1], s.y_layout, t)};
      map_[node.out[0]] = Describe(Add(std::move(n)), Layout::kOpaque, DType::kF32, opaque);
      map_[node.out[0]] = Want(node.out[0], Layout::kPlain, DType::kF32);  // the optimiser works row-major
      return {};
    }
    map_[node.out[0]] = Describe(Add(std::move(n)), s.kind == ConvKind::kForward ? s.y_layout : s.x_layout, t);
    return {};
  }

  void Fused(const Node& node) {
    Node n = node;
    Layout prefer = Layout::kPlain;
    for (size_t i = 0; i < node.in.size(); ++i) {
      n.in[i] = Natural(node.in[i]);
      const Value& v = to_.value(n.in[i]);
      if (v.shape == node.fused->space && Spatial(v.shape) && v.layout != Layout::kPlain &&
          prefer != Layout::kBlocked16)
        prefer = v.layout;
    }
    const NodeId id = to_.Add(std::move(n));
    if (id == ~0u) return;
    for (size_t o = 0; o < node.out.size(); ++o) {
      const bool store = node.fused->outs[o].reduce == FusedBody::kStore;
      const bool low = store && Low(node.out[o]) && Spatial(node.fused->space);
      map_[node.out[o]] =
          Describe(to_.node(id).out[o], store ? prefer : Layout::kPlain, low ? DType::kBF16 : DType::kF32);
    }
  }

  void Pool(const Node& node) {
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
    if (free) layout = LayoutFor(first.shape[1]);
    Node n = node;
    for (size_t i = 0; i < node.in.size(); ++i) n.in[i] = Want(node.in[i], layout, t);
    map_[node.out[0]] = Describe(Add(std::move(n)), layout, t);
  }

  void Plain(const Node& node) {
    Node n = node;
    for (ValueId& v : n.in) v = Want(v, Layout::kPlain, DType::kF32);
    const NodeId id = to_.Add(std::move(n));
    if (id == ~0u) return;
    for (size_t o = 0; o < node.out.size(); ++o) map_[node.out[o]] = to_.node(id).out[o];
  }

  const Library& library_;
  const CompileOptions& options_;
  const Graph& from_;
  std::vector<bool> fixed_;
  Graph to_;
  std::vector<ValueId> map_;
  int64_t groups_ = 1;
};

}  // namespace

ConvSpec SpecOf(const Graph& g, const Node& n) {
  const Value &a = g.value(n.in[0]), &b = g.value(n.in[1]), &y = g.value(n.out[0]);
  const ConvKind kind = KindOf(n.op);
  const Value& x = kind == ConvKind::kInput ? y : a;
  const Value& w = kind == ConvKind::kWeight ? y : b;
  const Value& out = kind == ConvKind::kForward ? y : kind == ConvKind::kInput ? a : b;
  ConvAttrs attrs = ConvAttrs::Unpack(n.ints);
  return {kind, x.shape, w.shape, out.shape, attrs, x.layout, out.layout, a.dtype == DType::kBF16};
}

Status AssignLayouts(const Library& library, const CompileOptions& options, Graph* g) {
  Graph to;
  DISTIL_RETURN_IF_ERROR(Assigner(library, options, *g).Run(&to));
  *g = std::move(to);
  return {};
}

}  // namespace distil::onednn
