#include "lib/graph/fold.h"

#include <set>

namespace distil {
namespace {

class Folder {
 public:
  explicit Folder(const Graph& g) : g_(g), live_(LiveNodes(g)), fixed_(FixedValues(g)) {
    users_.assign(g.value_count(), 0);
    for (auto& [name, v] : g.outputs()) ++users_[v];
    for (auto& [var, v] : g.assigns()) ++users_[v];
    for (NodeId n : live_)
      for (ValueId v : g.node(n).in) ++users_[v];
  }

  Graph Run() {
    map_.assign(g_.value_count(), kNoValue);
    for (NodeId n : live_) {
      const Node& node = g_.node(n);
      to_.low_scope = !node.out.empty() && g_.value(node.out[0]).low;
      if (TryMul(node) || TryAdd(node) || TryRelu(node)) continue;
      Node copy = node;
      for (ValueId& v : copy.in) v = map_[v];
      const NodeId id = to_.Add(std::move(copy));
      if (id == ~0u) break;
      for (size_t i = 0; i < node.out.size(); ++i) map_[node.out[i]] = to_.node(id).out[i];
    }
    to_.low_scope = false;
    for (auto& [name, v] : g_.outputs()) to_.Output(name, map_[v]);
    for (auto& [var, v] : g_.assigns()) to_.Assign(var, map_[v]);
    if (!g_.ok()) to_.Fail(g_.error());
    return std::move(to_);
  }

 private:
  // The convolution that makes `v` and that nobody else reads, in the new graph.
  const Node* ConvBehind(ValueId v) const {
    if (users_[v] != 1) return nullptr;
    const Node& n = to_.producer(map_[v]);
    return n.op == Op::kConv2d && !ConvAttrs::Unpack(n.ints).relu ? &n : nullptr;
  }
  bool PerChannel(ValueId v, const Shape& y) const {
    const Shape& s = g_.value(v).shape;
    return s.rank() == 4 && s[0] == 1 && s[1] == y[1] && s[2] == 1 && s[3] == 1;
  }
  // Parameters are combined in f32, also where values of the network are not.
  ValueId OfParameters(Op op, ValueId a, ValueId b) {
    const bool scope = to_.low_scope;
    to_.low_scope = false;
    const ValueId v = to_.AddValue(op, {a, b});
    to_.low_scope = scope;
    return v;
  }
  ValueId AsVector(ValueId v, int64_t channels) { return to_.AddValue(Op::kReshape, {map_[v]}, {channels}); }
  bool Replace(const Node& node, ValueId with) {
    map_[node.out[0]] = with;
    return true;
  }

  bool TryMul(const Node& node) {
    if (node.op != Op::kMul) return false;
    for (int i = 0; i < 2; ++i) {
      const Node* conv = ConvBehind(node.in[i]);
      const ValueId s = node.in[1 - i];
      if (!conv || !PerChannel(s, g_.value(node.in[i]).shape) || !fixed_[s] || !fixed_new_.count(conv->out[0]))
        continue;
      const ConvAttrs a = ConvAttrs::Unpack(conv->ints);
      if (a.residual) continue;
      std::vector<ValueId> in = conv->in;
      const std::vector<int64_t> ints = conv->ints;
      const int64_t channels = g_.value(s).shape[1];
      in[1] = OfParameters(Op::kMul, in[1], to_.AddValue(Op::kReshape, {map_[s]}, {channels, 1, 1, 1}));
      if (a.bias) in[2] = OfParameters(Op::kMul, in[2], AsVector(s, channels));
      const ValueId y = to_.AddValue(Op::kConv2d, std::move(in), ints);
      fixed_new_.insert(y);
      return Replace(node, y);
    }
    return false;
  }

  bool TryAdd(const Node& node) {
    if (node.op == Op::kConv2d && fixed_[node.in[1]]) {  // remember convolutions with fixed weights
      Node copy = node;
      for (ValueId& v : copy.in) v = map_[v];
      const NodeId id = to_.Add(std::move(copy));
      if (id == ~0u) return true;
      fixed_new_.insert(to_.node(id).out[0]);
      return Replace(node, to_.node(id).out[0]);
    }
    if (node.op != Op::kAdd) return false;
    for (int i = 0; i < 2; ++i) {
      const Node* conv = ConvBehind(node.in[i]);
      const ValueId other = node.in[1 - i];
      if (!conv) continue;
      ConvAttrs a = ConvAttrs::Unpack(conv->ints);
      if (a.residual) continue;
      const Shape y = g_.value(node.out[0]).shape;
      if (!(g_.value(node.in[i]).shape == y)) continue;
      const bool fixed = fixed_new_.count(conv->out[0]) != 0;
      std::vector<ValueId> in = conv->in;
      if (PerChannel(other, y)) {
        const ValueId bias = AsVector(other, y[1]);
        if (a.bias)
          in[2] = OfParameters(Op::kAdd, in[2], bias);
        else
          in.push_back(bias);
        a.bias = 1;
      } else if (fixed && g_.value(other).shape == y) {
        a.residual = 1;
        in.push_back(map_[other]);
      } else {
        continue;
      }
      const ValueId v = to_.AddValue(Op::kConv2d, std::move(in), a.Pack());
      if (fixed) fixed_new_.insert(v);
      return Replace(node, v);
    }
    return false;
  }

  bool TryRelu(const Node& node) {
    if (node.op != Op::kRelu) return false;
    const Node* conv = ConvBehind(node.in[0]);
    if (!conv || !fixed_new_.count(conv->out[0])) return false;
    ConvAttrs a = ConvAttrs::Unpack(conv->ints);
    a.relu = 1;
    return Replace(node, to_.AddValue(Op::kConv2d, conv->in, a.Pack()));
  }

  const Graph& g_;
  std::vector<NodeId> live_;
  std::vector<bool> fixed_;
  Graph to_;
  std::vector<int> users_;
  std::set<ValueId> fixed_new_;  // results of convolutions with fixed weights, in the new graph
  std::vector<ValueId> map_;
};

}  // namespace

Graph Fold(const Graph& g) { return Folder(g).Run(); }

}  // namespace distil
