#include "lib/expr/lower.h"

#include "lib/expr/expr.h"

namespace distil {
namespace {

// y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over all axes but the channel's.
std::vector<Expr> ExpandBatchNorm(Expr x, Expr gamma, Expr beta, double eps) {
  const int64_t c = x.dim(1);
  const Axes axes = x.rank() == 4 ? Axes{0, 2, 3} : Axes{0};
  const Shape row = x.rank() == 4 ? Shape{1, c, 1, 1} : Shape{1, c};
  Expr mean = Mean(x, axes);
  Expr centred = x - mean;
  Expr variance = Mean(Square(centred), axes);
  Expr y = centred * (Reshape(gamma, row) / Sqrt(variance + eps)) + Reshape(beta, row);
  return {y, Reshape(mean, {c}), Reshape(variance, {c})};
}

}  // namespace

void CopyNode(const Graph& from, NodeId n, Graph* to, std::vector<ValueId>* map) {
  Node node = from.node(n);
  const std::vector<ValueId> out = node.out;
  for (ValueId& v : node.in) v = (*map)[v];
  const NodeId id = to->Add(std::move(node));
  if (id == ~0u) return;
  for (size_t i = 0; i < out.size(); ++i) {
    const ValueId v = to->node(id).out[i];
    (*map)[out[i]] = v;
    Value& value = to->mutable_value(v);
    const Value& old = from.value(out[i]);
    value.low = old.low;
    value.dtype = old.dtype;
    value.layout = old.layout;
    value.opaque = old.opaque;
  }
}

void CopyRoots(const Graph& from, Graph* to, const std::vector<ValueId>& map) {
  for (auto& [name, v] : from.outputs()) to->Output(name, map[v]);
  for (auto& [var, v] : from.assigns()) to->Assign(var, map[v]);
  if (!from.ok()) to->Fail(from.error());
}

Graph Lower(const Graph& g, const std::function<bool(const Node&)>& native) {
  Graph to;
  std::vector<ValueId> map(g.value_count(), kNoValue);
  auto at = [&](ValueId v) { return Expr(&to, map[v]); };
  for (NodeId id : LiveNodes(g)) {
    const Node& n = g.node(id);
    to.low_scope = !n.out.empty() && g.value(n.out[0]).low;
    if (n.op == Op::kStopGradient) {
      map[n.out[0]] = map[n.in[0]];
    } else if (n.op == Op::kReshape) {
      Expr x = at(n.in[0]);
      if (const Node& p = to.producer(x.id()); p.op == Op::kReshape) x = Expr(&to, p.in[0]);
      map[n.out[0]] = Reshape(x, g.value(n.out[0]).shape).id();
    } else if (n.op == Op::kBatchNorm && !native(n)) {
      const std::vector<Expr> out = ExpandBatchNorm(at(n.in[0]), at(n.in[1]), at(n.in[2]), n.reals[0]);
      for (size_t i = 0; i < out.size(); ++i) map[n.out[i]] = out[i].id();
    } else {
      CopyNode(g, id, &to, &map);
    }
    if (!to.ok()) break;
  }
  to.low_scope = false;
  CopyRoots(g, &to, map);
  return to;
}

}  // namespace distil
