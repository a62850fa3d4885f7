#include "lib/backend/step_cost.h"

#include <cstdio>
#include <set>

#include "lib/backend/convolution.h"

namespace distil {
namespace {

constexpr int64_t kSmall = 64 << 10;  // bytes

int64_t BytesOf(const Graph& g, ValueId id) {
  const Value& v = g.value(id);
  if (v.layout == Layout::kOpaque) return static_cast<int64_t>(g.opaque()[v.opaque].bytes);
  return v.shape.elements() * static_cast<int64_t>(DTypeSize(v.dtype));
}

int64_t MultiplyAdds(const Graph& g, const Node& n) {
  if (IsConv(n.op)) {
    const ConvSpec s = SpecOf(g, n);
    return s.y.elements() * s.w[1] * s.w[2] * s.w[3];
  }
  if (n.op != Op::kMatMul) return 0;
  const Shape& a = g.value(n.in[0]).shape;
  return g.value(n.out[0]).shape.elements() * a[a.rank() - (n.ints[0] ? 2 : 1)];
}

StepCost::Part& PartOf(Op op, StepCost* cost) {
  switch (op) {
    case Op::kConv2d:
    case Op::kConv2dInput:
    case Op::kConv2dWeight: return cost->convolutions;
    case Op::kMatMul: return cost->products;
    case Op::kFused: return cost->fused;
    case Op::kMaxPool:
    case Op::kMaxPoolScatter:
    case Op::kAvgPool:
    case Op::kAvgPoolGrad: return cost->pools;
    case Op::kReorder: return cost->reorders;
    default: return cost->others;
  }
}

}  // namespace

StepCost::Part StepCost::total() const {
  Part t;
  for (const Part& p : {convolutions, products, fused, pools, reorders, others}) {
    t.launches += p.launches;
    t.small += p.small;
    t.bytes += p.bytes;
    t.multiply_adds += p.multiply_adds;
  }
  return t;
}

StepCost CostOf(const Graph& g) {
  StepCost cost;
  const std::vector<bool> fixed = FixedValues(g);
  for (NodeId id : LiveNodes(g)) {
    const Node& n = g.node(id);
    if (n.op == Op::kInput || n.op == Op::kVariable || n.op == Op::kReshape || fixed[n.out[0]]) continue;
    StepCost::Part& part = PartOf(n.op, &cost);
    int64_t bytes = 0;
    for (ValueId v : std::set<ValueId>(n.in.begin(), n.in.end())) {
      const bool table = n.op == Op::kGather && v == n.in[0];  // read only where it is asked
      bytes += BytesOf(g, table ? n.out[0] : v);
    }
    for (ValueId v : n.out) bytes += BytesOf(g, v);
    ++part.launches;
    part.small += bytes < kSmall;
    part.bytes += bytes;
    part.multiply_adds += MultiplyAdds(g, n);
  }
  return cost;
}

std::string ToText(const StepCost& cost) {
  std::string text;
  const StepCost::Part total = cost.total();
  for (const auto& [name, part] :
       {std::pair("convolutions", &cost.convolutions), std::pair("products", &cost.products),
        std::pair("fused", &cost.fused), std::pair("pools", &cost.pools), std::pair("reorders", &cost.reorders),
        std::pair("others", &cost.others), std::pair("total", &total)}) {
    if (part->launches == 0) continue;
    char line[160];
    std::snprintf(line, sizeof line, "%-12s %5lld launches (%4lld small) %10.3f MB", name,
                  static_cast<long long>(part->launches), static_cast<long long>(part->small),
                  static_cast<double>(part->bytes) * 1e-6);
    text += line;
    if (part->multiply_adds) {
      std::snprintf(line, sizeof line, " %9.3f G multiply-adds", static_cast<double>(part->multiply_adds) * 1e-9);
      text += line;
    }
    text += "\n";
  }
  return text;
}

}  // namespace distil
