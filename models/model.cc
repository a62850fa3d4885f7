#include "models/model.h"

#include <set>

#include "models/families.h"

namespace distil {
namespace {

bool IsParameter(const Graph& g, ValueId v) {
  const Node& n = g.producer(v);
  return n.op == Op::kVariable && n.variable->kind == VariableKind::kParameter;
}

}  // namespace

std::span<const Model> AllModels() {
  static const Model models[] = {
#define MODEL(id, f, stages, c, h, w, ...) {#id, f.name, f.source, stages, {c, h, w}, {__VA_ARGS__}, f.builder},
#include "models/models.def"
#undef MODEL
  };
  return models;
}

const Model* FindModel(std::string_view name) {
  for (const Model& m : AllModels())
    if (m.name == name) return &m;
  return nullptr;
}

Features Model::Build(Layers& l, Expr x, const BuildOptions& o) const {
  if (!x.valid()) return {};
  auto fail = [&](const std::string& why) {
    l.graph()->Fail(std::string(name) + ": " + why);
    return Features();
  };
  if (x.rank() != 4) return fail("the input must have shape [n,c,h,w], got " + x.shape().ToString());
  if (o.classes < 1) return fail("needs at least one class, got " + std::to_string(o.classes));
  if (o.first_stage < 0 || o.first_stage > stages)
    return fail("has stages 1 to " + std::to_string(stages) + ", none behind stage " + std::to_string(o.first_stage));
  return builder(l, x, *this, o);
}

ModelCost CostOf(const Graph& g, int64_t batch) {
  ModelCost cost = {0, 0};
  std::set<const Variable*> seen;
  for (NodeId id = 0; id < g.node_count(); ++id) {
    const Node& n = g.node(id);
    auto elements = [&](ValueId v) { return g.value(v).shape.elements(); };
    if (n.op == Op::kVariable && n.variable->kind == VariableKind::kParameter) {
      if (seen.insert(n.variable.get()).second) cost.parameters += n.variable->shape.elements();
    } else if (n.op == Op::kConv2d) {  // each output element reads one filter w [o,c/groups,kh,kw]
      cost.macs += elements(n.out[0]) * (elements(n.in[1]) / g.value(n.in[1]).shape[0]);
    } else if (n.op == Op::kConv2dInput) {  // transposed convolution: each input element writes one filter
      cost.macs += elements(n.in[0]) * (elements(n.in[1]) / g.value(n.in[1]).shape[0]);
    } else if (n.op == Op::kMatMul && (IsParameter(g, n.in[0]) || IsParameter(g, n.in[1]))) {
      const Shape& a = g.value(n.in[0]).shape;
      cost.macs += elements(n.out[0]) * a[a.rank() - (n.ints[0] ? 2 : 1)];
    }
  }
  cost.macs /= batch;
  return cost;
}

}  // namespace distil
