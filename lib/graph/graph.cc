#include "lib/graph/graph.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>

#include "lib/graph/variable.h"

namespace distil {
namespace {

struct OpInfo {
  const char* name;
  int in, out;
  bool pointwise;
};

constexpr OpInfo kOps[] = {
#define POINTWISE(name, arity, ...) {#name, arity, 1, true},
#include "lib/graph/pointwise.def"
#undef POINTWISE
#define OP(name, in, out) {#name, in, out, false},
#include "lib/graph/ops.def"
#undef OP
};

void Mix(size_t& h, size_t v) { h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2); }

// Reals are compared by their bits: NaN equals itself, and -0 differs from 0.
bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

}  // namespace

std::string_view OpName(Op op) { return kOps[static_cast<int>(op)].name; }
bool IsPointwise(Op op) { return kOps[static_cast<int>(op)].pointwise; }
int Arity(Op op) { return kOps[static_cast<int>(op)].in; }
int OutputCount(Op op) { return kOps[static_cast<int>(op)].out; }

size_t DTypeSize(DType t) {
  switch (t) {
    case DType::kF64: return 8;
    case DType::kBF16: return 2;
    case DType::kF32:
    case DType::kI32: return 4;
  }
  return 0;
}

std::vector<int64_t> ConvAttrs::Pack() const {
  return {stride[0], stride[1], pad[0], pad[1],   dilation[0], dilation[1], groups,
          size[0],   size[1],   bias,   residual, relu,        algorithm};
}
ConvAttrs ConvAttrs::Unpack(const std::vector<int64_t>& v) {
  ConvAttrs a;
  if (v.size() != 13) return a;
  a.stride[0] = v[0], a.stride[1] = v[1], a.pad[0] = v[2], a.pad[1] = v[3];
  a.dilation[0] = v[4], a.dilation[1] = v[5], a.groups = v[6], a.size[0] = v[7], a.size[1] = v[8];
  a.bias = v[9], a.residual = v[10], a.relu = v[11], a.algorithm = v[12];
  return a;
}

std::vector<int64_t> PoolAttrs::Pack() const {
  return {kernel[0],         kernel[1], stride[0], stride[1], pad[0], pad[1], ceil_mode,
          count_include_pad, adaptive,  size[0],   size[1],   out[0], out[1]};
}
PoolAttrs PoolAttrs::Unpack(const std::vector<int64_t>& v) {
  PoolAttrs a;
  if (v.size() != 13) return a;
  a.kernel[0] = v[0], a.kernel[1] = v[1], a.stride[0] = v[2], a.stride[1] = v[3], a.pad[0] = v[4], a.pad[1] = v[5];
  a.ceil_mode = v[6], a.count_include_pad = v[7], a.adaptive = v[8], a.size[0] = v[9], a.size[1] = v[10];
  a.out[0] = v[11], a.out[1] = v[12];
  return a;
}

std::vector<int64_t> SliceAttrs::Pack() const {
  std::vector<int64_t> v = begin;
  v.insert(v.end(), extent.begin(), extent.end());
  v.insert(v.end(), step.begin(), step.end());
  return v;
}
SliceAttrs SliceAttrs::Unpack(const std::vector<int64_t>& v) {
  const auto n = static_cast<ptrdiff_t>(v.size() / 3);
  return {{v.begin(), v.begin() + n}, {v.begin() + n, v.begin() + 2 * n}, {v.begin() + 2 * n, v.end()}};
}

size_t Graph::Hash(const Node& n) const {
  size_t h = static_cast<size_t>(n.op);
  for (ValueId v : n.in) Mix(h, v);
  for (int64_t i : n.ints) Mix(h, static_cast<size_t>(i));
  for (double r : n.reals) Mix(h, std::hash<double>()(r));
  Mix(h, std::hash<std::string>()(n.name));
  Mix(h, std::hash<const void*>()(n.variable.get()));
  Mix(h, std::hash<const void*>()(n.fused.get()));
  return h;
}

bool Graph::Same(const Node& a, const Node& b) const {
  return a.op == b.op && a.in == b.in && a.ints == b.ints && SameBits(a.reals, b.reals) && a.name == b.name &&
         a.variable == b.variable && a.fused == b.fused;
}

NodeId Graph::Add(Node node) {
  if (!ok()) return ~0u;
  for (ValueId v : node.in) {
    if (v >= values_.size()) {
      Fail(std::string(OpName(node.op)) + ": an operand is missing (made by another graph, or by a call that failed)");
      return ~0u;
    }
  }
  const size_t hash = Hash(node);
  for (auto [it, end] = by_hash_.equal_range(hash); it != end; ++it)
    if (Same(nodes_[it->second], node)) return it->second;

  Inferred inferred = InferShapes(*this, node, node.variable ? node.variable->shape : Shape());
  if (inferred.error.empty()) {
    for (const Shape& s : inferred.shapes) {
      if (s.elements() > kMaxElements)
        inferred.error = "the result would have shape " + s.ToString() + ", which is too large";
      for (int64_t d : s.dims())
        if (d <= 0)
          inferred.error = "the result would have shape " + s.ToString() + ", with an extent below 1 or a rank above " +
                           std::to_string(kMaxRank);
    }
  }
  if (!inferred.error.empty()) {
    Fail(Describe(*this, node) + ": " + inferred.error);
    return ~0u;
  }
  const auto id = static_cast<NodeId>(nodes_.size());
  // Slices, reshapes and gathers of index tensors stay index tensors.
  const bool moves = node.op == Op::kReshape || node.op == Op::kTranspose || node.op == Op::kSlice ||
                     node.op == Op::kConcat || node.op == Op::kBroadcast || node.op == Op::kStopGradient ||
                     node.op == Op::kReorder || node.op == Op::kGather;
  const bool index =
      moves ? values_[node.in[0]].index : node.op == Op::kInput && !node.ints.empty() && node.ints.back();
  node.out.clear();
  for (uint32_t i = 0; i < inferred.shapes.size(); ++i) {
    Value v;
    v.shape = inferred.shapes[i];
    v.node = id;
    v.output = i;
    v.index = index;
    v.dtype = index ? DType::kI32 : DType::kF32;
    v.low = low_scope && !index;
    node.out.push_back(static_cast<ValueId>(values_.size()));
    values_.push_back(v);
  }
  nodes_.push_back(std::move(node));
  by_hash_.emplace(hash, id);
  return id;
}

ValueId Graph::AddValue(Op op, std::vector<ValueId> in, std::vector<int64_t> ints, std::vector<double> reals) {
  Node n;
  n.op = op;
  n.in = std::move(in);
  n.ints = std::move(ints);
  n.reals = std::move(reals);
  const NodeId id = Add(std::move(n));
  return id == ~0u ? kNoValue : nodes_[id].out[0];
}

ValueId Graph::Input(const std::string& name, const Shape& shape, bool index) {
  Node n;
  n.op = Op::kInput;
  n.name = name;
  n.ints.assign(shape.dims().begin(), shape.dims().end());
  n.ints.push_back(index);
  for (const Node& other : nodes_)
    if (other.op == Op::kInput && other.name == name && other.ints != n.ints) {
      Fail("Input " + name + ": the name is used twice, with different shapes or types");
      return kNoValue;
    }
  const NodeId id = Add(std::move(n));
  return id == ~0u ? kNoValue : nodes_[id].out[0];
}

ValueId Graph::Constant(double v, int rank) { return AddValue(Op::kConstant, {}, {rank}, {v}); }

ValueId Graph::Data(const Shape& shape, std::vector<double> data) {
  return AddValue(Op::kData, {}, {shape.dims().begin(), shape.dims().end()}, std::move(data));
}

ValueId Graph::Read(const VariableRef& v) {
  if (!v) Fail("Variable: it is missing");
  Node n;
  n.op = Op::kVariable;
  n.variable = v;
  const NodeId id = Add(std::move(n));
  return id == ~0u ? kNoValue : nodes_[id].out[0];
}

void Graph::Assign(const VariableRef& v, ValueId value) {
  if (!v) Fail("assign: the variable is missing");
  if (!ok()) return;
  if (value >= values_.size()) return Fail("assign " + v->name + ": the value is missing");
  if (values_[value].index) return Fail("assign " + v->name + ": the value holds indices, not real numbers");
  if (!(values_[value].shape == v->shape))
    return Fail("assign " + v->name + ": the variable has shape " + v->shape.ToString() + ", the value " +
                values_[value].shape.ToString());
  for (auto& [var, val] : assigns_) {
    if (var == v) {
      val = value;
      return;
    }
  }
  assigns_.emplace_back(v, value);
}

ValueId Graph::Latest(const VariableRef& v) {
  for (auto& [var, val] : assigns_)
    if (var == v) return val;
  return Read(v);
}

void Graph::Output(const std::string& name, ValueId v) {
  if (!ok()) return;
  if (v >= values_.size()) return Fail("output " + name + ": the value is missing");
  for (auto& [n, old] : outputs_) {
    if (n == name) return Fail("output " + name + ": the name is used twice");
  }
  outputs_.emplace_back(name, v);
}

std::string Describe(const Graph& g, const Node& n) {
  std::string s(OpName(n.op));
  if (n.op == Op::kInput) return s + " " + n.name;
  if (n.op == Op::kVariable && n.variable) return s + " " + n.variable->name;
  s += "(";
  for (size_t i = 0; i < n.in.size(); ++i) s += (i ? ", " : "") + g.value(n.in[i]).shape.ToString();
  return s + ")";
}

std::vector<NodeId> LiveNodes(const Graph& g) {
  std::vector<bool> live(g.node_count(), false);
  auto mark = [&](ValueId v) { live[g.value(v).node] = true; };
  for (auto& [name, v] : g.outputs()) mark(v);
  for (auto& [var, v] : g.assigns()) mark(v);
  std::vector<NodeId> order;
  for (NodeId n = static_cast<NodeId>(g.node_count()); n-- > 0;) {
    if (!live[n]) continue;
    order.push_back(n);
    for (ValueId v : g.node(n).in) mark(v);
  }
  std::reverse(order.begin(), order.end());
  return order;
}

std::vector<bool> FixedValues(const Graph& g) {
  std::set<const Variable*> assigned;
  for (auto& [var, v] : g.assigns()) assigned.insert(var.get());
  std::vector<bool> fixed(g.value_count(), false);
  for (NodeId n : LiveNodes(g)) {
    const Node& node = g.node(n);
    bool all = node.op != Op::kInput && !(node.op == Op::kVariable && assigned.count(node.variable.get()));
    for (ValueId v : node.in) all = all && fixed[v];
    for (ValueId v : node.out) fixed[v] = all;
  }
  return fixed;
}

}  // namespace distil
