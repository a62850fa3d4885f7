// Reverse-mode differentiation, graph to graph. One rule per op, written with the operators that users write with, so a
// gradient is ordinary graph: it runs on every backend and can be differentiated again.
#include <algorithm>

#include "lib/expr/expr.h"

namespace distil {
namespace {

// What a rule sees: the node's inputs and outputs, and the gradient of each output (empty when there is none).
struct Ctx {
  Graph* g;
  const Node& n;
  const std::vector<Expr>& d;
  Expr in(int i) const { return {g, n.in[i]}; }
  Expr out(int i = 0) const { return {g, n.out[i]}; }
  Expr dy() const { return d[0]; }
};
using Grads = std::vector<Expr>;  // one per input; an empty Expr means zero

Axes ToAxes(const std::vector<int64_t>& ints) { return {ints.begin(), ints.end()}; }

Grads GradInput(const Ctx&) { return {}; }
Grads GradVariable(const Ctx&) { return {}; }
Grads GradConstant(const Ctx&) { return {}; }
Grads GradData(const Ctx&) { return {}; }
Grads GradIota(const Ctx&) { return {}; }
Grads GradRandom(const Ctx&) { return {{}, {}}; }
Grads GradRank(const Ctx&) { return {{}}; }
Grads GradStopGradient(const Ctx&) { return {{}}; }

// Sum and Broadcast are each other's adjoints.
Grads GradSum(const Ctx& c) { return {BroadcastTo(c.dy(), c.in(0).shape())}; }
Grads GradBroadcast(const Ctx& c) {
  Axes axes;
  for (int i = 0; i < c.out().rank(); ++i)
    if (c.in(0).dim(i) != c.out().dim(i)) axes.push_back(i);
  return {Sum(c.dy(), axes)};
}
Grads GradMaxReduce(const Ctx& c) {
  Expr hit = Equal(c.in(0), c.out());
  return {hit * (c.dy() / Sum(hit, ToAxes(c.n.ints)))};
}

Grads GradReshape(const Ctx& c) { return {Reshape(c.dy(), c.in(0).shape())}; }
Grads GradTranspose(const Ctx& c) {
  Axes inverse(c.n.ints.size());
  for (size_t i = 0; i < inverse.size(); ++i) inverse[c.n.ints[i]] = static_cast<int>(i);
  return {Transpose(c.dy(), inverse)};
}
// Slice and Pad are each other's adjoints: same begin and step, the extents of the other side.
Expr Other(const Ctx& c, Op op) {
  SliceAttrs a = SliceAttrs::Unpack(c.n.ints);
  const Shape s = c.in(0).shape();
  a.extent.assign(s.dims().begin(), s.dims().end());
  return {c.g, c.g->AddValue(op, {c.dy().id()}, a.Pack())};
}
Grads GradSlice(const Ctx& c) { return {Other(c, Op::kPad)}; }
Grads GradPad(const Ctx& c) { return {Other(c, Op::kSlice)}; }
Grads GradConcat(const Ctx& c) {
  Grads r;
  const int axis = static_cast<int>(c.n.ints[0]);
  int64_t begin = 0;
  for (size_t i = 0; i < c.n.in.size(); ++i) {
    const int64_t n = c.in(static_cast<int>(i)).dim(axis);
    r.push_back(Slice(c.dy(), axis, begin, n));
    begin += n;
  }
  return r;
}

// y = op(a) op(b):  da = dy b',  db = a' dy, each arranged for the operand's own orientation.
Grads GradMatMul(const Ctx& c) {
  const bool ta = c.n.ints[0], tb = c.n.ints[1];
  Expr a = c.in(0), b = c.in(1), dy = c.dy();
  return {ta ? MatMul(b, dy, tb, true) : MatMul(dy, b, false, !tb),
          tb ? MatMul(dy, a, true, ta) : MatMul(a, dy, !ta, false)};
}

// The three convolutions are the three faces of one trilinear form <dy, conv(x, w)>, so each one's gradients are the
// other two.
ConvAttrs Sized(ConvAttrs a, Expr like) {
  a.size[0] = like.dim(2), a.size[1] = like.dim(3);
  return a;
}
ConvAttrs Unsized(ConvAttrs a) {
  a.size[0] = a.size[1] = 0;
  return a;
}
Expr ConvWeightOf(const Ctx& c, Expr x, Expr dy, const ConvAttrs& a) {
  return {c.g, c.g->AddValue(Op::kConv2dWeight, {x.id(), dy.id()}, a.Pack())};
}
Grads GradConv2d(const Ctx& c) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  if (a.bias || a.residual || a.relu) {
    c.g->Fail("Conv2d: a fused convolution cannot be differentiated");
    return Grads(c.n.in.size());
  }
  Expr x = c.in(0), w = c.in(1);
  return {ConvTranspose2d(c.dy(), w, Sized(a, x)), ConvWeightOf(c, x, c.dy(), Sized(a, w))};
}
Grads GradConv2dInput(const Ctx& c) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  Expr g = c.in(0), w = c.in(1);
  return {Conv2d(c.dy(), w, Unsized(a)), ConvWeightOf(c, c.dy(), g, Sized(a, w))};
}
Grads GradConv2dWeight(const Ctx& c) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  Expr x = c.in(0), g = c.in(1);
  return {ConvTranspose2d(g, c.dy(), Sized(a, x)), Conv2d(x, c.dy(), Unsized(a))};
}

// Linear in the second operand; the first only selects.
Grads GradMaxPool(const Ctx& c) {
  return {{}, {c.g, c.g->AddValue(Op::kMaxPoolScatter, {c.n.in[0], c.dy().id()}, c.n.ints)}};
}
Grads GradMaxPoolScatter(const Ctx& c) {
  return {{}, {c.g, c.g->AddValue(Op::kMaxPool, {c.n.in[0], c.dy().id()}, c.n.ints)}};
}
Grads GradAvgPool(const Ctx& c) {
  PoolAttrs a = PoolAttrs::Unpack(c.n.ints);
  a.out[0] = a.size[0], a.out[1] = a.size[1];
  a.size[0] = c.in(0).dim(2), a.size[1] = c.in(0).dim(3);
  return {{c.g, c.g->AddValue(Op::kAvgPoolGrad, {c.dy().id()}, a.Pack())}};
}
Grads GradAvgPoolGrad(const Ctx& c) {
  PoolAttrs a = PoolAttrs::Unpack(c.n.ints);
  a.size[0] = a.out[0], a.size[1] = a.out[1];
  a.out[0] = a.out[1] = 0;
  return {AvgPool(c.dy(), a)};
}

// y = gamma xhat + beta,  xhat = (x - mean) rstd,  rstd = (var + eps)^-1/2,  m values per channel.
//   dx from y:    gamma rstd (dy - mean(dy) - xhat mean(dy xhat))
//   from mean:    dmean / m          from the biased variance:  dvar 2 (x - mean) / m
Grads GradBatchNorm(const Ctx& c) {
  Expr x = c.in(0), gamma = c.in(1);
  const double m = static_cast<double>(x.shape().elements()) / static_cast<double>(x.dim(1));
  const Axes axes = x.rank() == 4 ? Axes{0, 2, 3} : Axes{0};
  const Shape row = x.rank() == 4 ? Shape{1, x.dim(1), 1, 1} : Shape{1, x.dim(1)};
  const Shape channels{x.dim(1)};
  Expr centred = x - Reshape(c.out(1), row);
  Expr dx, dgamma, dbeta;
  auto add = [&](Expr e) { dx = dx.valid() ? dx + e : e; };
  if (Expr dy = c.d[0]; dy.valid()) {
    Expr rstd = 1.0 / Sqrt(Reshape(c.out(2), row) + c.n.reals[0]);
    Expr xhat = centred * rstd;
    Expr sum_dy = Sum(dy, axes), sum_dy_xhat = Sum(dy * xhat, axes);
    add(Reshape(gamma, row) * rstd * (dy - sum_dy * (1 / m) - xhat * (sum_dy_xhat * (1 / m))));
    dgamma = Reshape(sum_dy_xhat, channels);
    dbeta = Reshape(sum_dy, channels);
  }
  if (c.d[1].valid()) add(BroadcastTo(Reshape(c.d[1], row) * (1 / m), x.shape()));
  if (c.d[2].valid()) add(centred * (Reshape(c.d[2], row) * (2 / m)));
  return {dx, dgamma, dbeta};
}

Grads GradGather(const Ctx& c) { return {ScatterAdd(c.dy(), c.in(1), c.in(0).dim(0)), {}}; }
Grads GradScatterAdd(const Ctx& c) { return {Gather(c.dy(), c.in(1)), {}}; }

Grads NotDifferentiable(const Ctx& c) {
  c.g->Fail(Describe(*c.g, c.n) + ": made by a pass, after differentiation");
  return Grads(c.n.in.size());
}
Grads GradFused(const Ctx& c) { return NotDifferentiable(c); }
Grads GradReorder(const Ctx& c) { return NotDifferentiable(c); }

// Pointwise rules come from pointwise.def, word for word.
struct None {};
constexpr None NONE;
Expr AsExpr(Expr e) { return e; }
Expr AsExpr(None) { return {}; }

Grads PointwiseGrad(const Ctx& c) {
  [[maybe_unused]] Expr x = c.in(0), y = c.n.in.size() > 1 ? c.in(1) : Expr(), z = c.n.in.size() > 2 ? c.in(2) : Expr();
  [[maybe_unused]] Expr r = c.out(), dr = c.dy();
  auto list = [](auto... e) { return Grads{AsExpr(e)...}; };
  switch (c.n.op) {
#define POINTWISE(name, arity, value, ...) \
  case Op::k##name:                        \
    return list(__VA_ARGS__);
#include "lib/graph/pointwise.def"
#undef POINTWISE
    default: return {};
  }
}

Grads Rule(const Ctx& c) {
  if (IsPointwise(c.n.op)) {
    Grads grads = PointwiseGrad(c);
    // Undo broadcasting, here and nowhere else.
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i].valid()) continue;
      Expr operand = c.in(static_cast<int>(i));
      Expr full = BroadcastTo(grads[i], c.out().shape());
      Axes axes;
      for (int d = 0; d < operand.rank(); ++d)
        if (operand.dim(d) != full.dim(d)) axes.push_back(d);
      grads[i] = axes.empty() ? full : Sum(full, axes);
    }
    return grads;
  }
  switch (c.n.op) {
#define OP(name, ...) \
  case Op::k##name:   \
    return Grad##name(c);
#include "lib/graph/ops.def"
#undef OP
    default: return {};
  }
}

}  // namespace

std::vector<Expr> Gradients(Expr loss, std::span<const Expr> wrt) {
  std::vector<Expr> result(wrt.size());
  Graph* g = loss.graph();
  if (g == nullptr || !loss.valid()) return result;
  if (loss.shape().elements() != 1) {
    g->Fail("Gradients: the loss must be one number, it has shape " + loss.shape().ToString());
    return result;
  }
  // Only nodes on a path from wrt to the loss matter: everything else, a frozen teacher for one, is free.
  const NodeId last = g->value(loss.id()).node;
  std::vector<bool> reached(last + 1, false);
  std::vector<bool> target(g->value_count(), false);
  for (const Expr& w : wrt) {
    if (w.graph() != g || w.id() == kNoValue) {
      g->Fail("Gradients: one of the values to differentiate by is missing");
      return result;
    }
    target[w.id()] = true;
  }
  for (NodeId n = 0; n <= last; ++n) {
    const Node& node = g->node(n);
    for (ValueId v : node.out) reached[n] = reached[n] || target[v];
    if (node.op == Op::kStopGradient) continue;
    for (ValueId v : node.in) reached[n] = reached[n] || reached[g->value(v).node];
  }

  std::vector<Expr> d(g->value_count());
  d[loss.id()] = Expr(g, g->Constant(1.0, loss.rank()));
  const bool scope = g->low_scope;
  for (NodeId n = last + 1; n-- > 0;) {
    if (!reached[n]) continue;
    const Node node = g->node(n);  // a copy: rules add nodes
    std::vector<Expr> dy;
    bool any = false;
    for (ValueId v : node.out) {
      dy.push_back(d[v]);
      any = any || d[v].valid();
    }
    if (!any || node.in.empty()) continue;
    g->low_scope = g->value(node.out[0]).low;
    const Grads grads = Rule({g, node, dy});
    if (!g->ok()) break;
    for (size_t i = 0; i < grads.size(); ++i) {
      const ValueId v = node.in[i];
      if (!grads[i].valid() || !reached[g->value(v).node]) continue;
      d[v] = d[v].valid() ? d[v] + grads[i] : grads[i];
    }
  }
  g->low_scope = scope;
  for (size_t i = 0; i < wrt.size(); ++i) {
    Expr e = wrt[i].id() < d.size() ? d[wrt[i].id()] : Expr();
    if (!e.valid()) e = Constant(g, 0.0);
    result[i] = BroadcastTo(e, wrt[i].shape());
  }
  return result;
}

}  // namespace distil
