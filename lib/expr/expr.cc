#include "lib/expr/expr.h"

#include <algorithm>

namespace distil {
namespace {

Expr Make(Graph* g, Op op, std::vector<ValueId> in, std::vector<int64_t> ints = {}, std::vector<double> reals = {}) {
  if (g == nullptr) return {};
  return {g, g->AddValue(op, std::move(in), std::move(ints), std::move(reals))};
}

// The graph of an operation's operands; empty operands and operands of two graphs are errors that stick.
Graph* GraphOf(Op op, std::initializer_list<Expr> xs) {
  Graph* g = nullptr;
  for (const Expr& x : xs)
    if (g == nullptr) g = x.graph();
  if (g == nullptr) return nullptr;
  for (const Expr& x : xs) {
    if (x.graph() == nullptr || x.id() == kNoValue)
      g->Fail(std::string(OpName(op)) + ": an operand is missing");
    else if (x.graph() != g)
      g->Fail(std::string(OpName(op)) + ": operands belong to two graphs");
  }
  return g;
}

Expr Unary(Op op, Expr x) {
  Graph* g = GraphOf(op, {x});
  return Make(g, op, {x.id()});
}

bool IsConstant(Expr x, double* v = nullptr) {
  if (!x.valid()) return false;
  const Node& n = x.graph()->producer(x.id());
  if (n.op != Op::kConstant) return false;
  if (v) *v = n.reals[0];
  return true;
}

// `x` with leading axes of extent 1, up to `rank`.
Expr Lift(Expr x, int rank) {
  if (!x.valid() || x.rank() >= rank) return x;
  if (double v; IsConstant(x, &v)) return {x.graph(), x.graph()->Constant(v, rank)};
  Shape s = Shape::Ones(rank - x.rank());
  for (int axis = 0; axis < x.rank(); ++axis) s.Append(x.dim(axis));
  return Reshape(x, s);
}

Expr Binary(Op op, Expr a, Expr b) {
  Graph* g = GraphOf(op, {a, b});
  if (g == nullptr || !g->ok()) return {};
  const int rank = std::max(a.rank(), b.rank());
  a = Lift(a, rank), b = Lift(b, rank);
  double u = 0, v = 0;
  const bool ca = IsConstant(a, &u), cb = IsConstant(b, &v);
  if (ca && cb) {  // numbers meet numbers
    if (op == Op::kAdd) return {g, g->Constant(u + v, rank)};
    if (op == Op::kSub) return {g, g->Constant(u - v, rank)};
    if (op == Op::kMul) return {g, g->Constant(u * v, rank)};
    if (op == Op::kDiv && v != 0) return {g, g->Constant(u / v, rank)};
  }
  // Neutral elements. (x * 0 stays: it keeps NaN.)
  if (cb && !b.graph()->value(a.id()).index) {
    if ((op == Op::kAdd || op == Op::kSub) && v == 0) return a;
    if ((op == Op::kMul || op == Op::kDiv) && v == 1) return a;
  }
  if (ca && !b.index()) {
    if (op == Op::kAdd && u == 0) return b;
    if (op == Op::kMul && u == 1) return b;
  }
  return Make(g, op, {a.id(), b.id()});
}

Expr Scalar(Expr like, double v) { return like.graph() ? Expr(like.graph(), like.graph()->Constant(v, 0)) : Expr(); }

Axes Normalise(Expr x, Axes axes) {
  for (int& a : axes) {
    if (a < 0) a += x.rank();
  }
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  return axes;
}

Expr Reduce(Op op, Expr x, const Axes& axes) {
  Graph* g = GraphOf(op, {x});
  if (g == nullptr || !g->ok()) return {};
  const Axes a = Normalise(x, axes);
  if (a.empty() && op == Op::kSum && x.rank() == 0) return x;
  return Make(g, op, {x.id()}, {a.begin(), a.end()});
}

Axes AllAxes(Expr x) {
  Axes a;
  for (int i = 0; i < x.rank(); ++i) a.push_back(i);
  return a;
}

std::vector<int64_t> Ints(const Shape& s) { return {s.dims().begin(), s.dims().end()}; }

}  // namespace

int64_t Expr::dim(int axis) const {
  const Shape s = shape();
  if (axis < 0) axis += s.rank();
  return axis >= 0 && axis < s.rank() ? s[axis] : 1;
}

// An empty Expr has no graph, so formulas over it may ask for leaves of none.
Expr Input(Graph* g, const std::string& name, const Shape& shape) {
  if (g == nullptr) return {};
  return {g, g->Input(name, shape)};
}
Expr IndexInput(Graph* g, const std::string& name, const Shape& shape) {
  if (g == nullptr) return {};
  return {g, g->Input(name, shape, true)};
}
Expr Constant(Graph* g, double v) {
  if (g == nullptr) return {};
  return {g, g->Constant(v, 0)};
}
Expr Data(Graph* g, const Shape& shape, std::vector<double> values) {
  if (g == nullptr) return {};
  return {g, g->Data(shape, std::move(values))};
}
Expr Iota(Graph* g, const Shape& shape) { return Make(g, Op::kIota, {}, Ints(shape)); }
Expr Read(Graph* g, const VariableRef& v) {
  if (g == nullptr) return {};
  return {g, g->Read(v)};
}

Expr Random(Expr key, Expr ids, int slot, const Shape& shape) {
  Graph* g = GraphOf(Op::kRandom, {key, ids});
  std::vector<int64_t> ints = {slot};
  ints.insert(ints.end(), shape.dims().begin(), shape.dims().end());
  return Make(g, Op::kRandom, {key.id(), ids.id()}, std::move(ints));
}

Expr operator+(Expr a, Expr b) { return Binary(Op::kAdd, a, b); }
Expr operator-(Expr a, Expr b) { return Binary(Op::kSub, a, b); }
Expr operator*(Expr a, Expr b) { return Binary(Op::kMul, a, b); }
Expr operator/(Expr a, Expr b) { return Binary(Op::kDiv, a, b); }
Expr operator-(Expr a) { return Neg(a); }
Expr operator+(Expr a, double b) { return a + Scalar(a, b); }
Expr operator-(Expr a, double b) { return a - Scalar(a, b); }
Expr operator*(Expr a, double b) { return a * Scalar(a, b); }
Expr operator/(Expr a, double b) { return a / Scalar(a, b); }
Expr operator+(double a, Expr b) { return Scalar(b, a) + b; }
Expr operator-(double a, Expr b) { return Scalar(b, a) - b; }
Expr operator*(double a, Expr b) { return Scalar(b, a) * b; }
Expr operator/(double a, Expr b) { return Scalar(b, a) / b; }

Expr Neg(Expr x) { return Unary(Op::kNeg, x); }
Expr Exp(Expr x) { return Unary(Op::kExp, x); }
Expr Log(Expr x) { return Unary(Op::kLog, x); }
Expr Log1p(Expr x) { return Unary(Op::kLog1p, x); }
Expr Sqrt(Expr x) { return Unary(Op::kSqrt, x); }
Expr Abs(Expr x) { return Unary(Op::kAbs, x); }
Expr Sign(Expr x) { return Unary(Op::kSign, x); }
Expr Floor(Expr x) { return Unary(Op::kFloor, x); }
Expr Relu(Expr x) { return Unary(Op::kRelu, x); }
Expr Relu6(Expr x) { return Unary(Op::kRelu6, x); }
Expr Sigmoid(Expr x) { return Unary(Op::kSigmoid, x); }
Expr Tanh(Expr x) { return Unary(Op::kTanh, x); }
Expr Square(Expr x) { return x * x; }
Expr Softplus(Expr x) { return Relu(x) + Log1p(Exp(-Abs(x))); }
Expr Pow(Expr x, Expr y) { return Binary(Op::kPow, x, y); }
Expr Pow(Expr x, double y) { return Pow(x, Scalar(x, y)); }
Expr Max(Expr a, Expr b) { return Binary(Op::kMax, a, b); }
Expr Max(Expr a, double b) { return Max(a, Scalar(a, b)); }
Expr Min(Expr a, Expr b) { return Binary(Op::kMin, a, b); }
Expr Min(Expr a, double b) { return Min(a, Scalar(a, b)); }
Expr Less(Expr a, Expr b) { return Binary(Op::kLess, a, b); }
Expr Less(Expr a, double b) { return Less(a, Scalar(a, b)); }
Expr Greater(Expr a, Expr b) { return Binary(Op::kGreater, a, b); }
Expr Greater(Expr a, double b) { return Greater(a, Scalar(a, b)); }
Expr Equal(Expr a, Expr b) { return Binary(Op::kEqual, a, b); }
Expr Equal(Expr a, double b) { return Equal(a, Scalar(a, b)); }
Expr Select(Expr c, Expr a, Expr b) {
  Graph* g = GraphOf(Op::kSelect, {c, a, b});
  if (g == nullptr || !g->ok()) return {};
  const int rank = std::max({c.rank(), a.rank(), b.rank()});
  return Make(g, Op::kSelect, {Lift(c, rank).id(), Lift(a, rank).id(), Lift(b, rank).id()});
}
Expr Select(Expr c, Expr a, double b) { return Select(c, a, Scalar(c, b)); }
Expr Select(Expr c, double a, Expr b) { return Select(c, Scalar(c, a), b); }

Expr Sum(Expr x, const Axes& axes) { return Reduce(Op::kSum, x, axes); }
Expr Mean(Expr x, const Axes& axes) {
  Expr s = Sum(x, axes);
  return s * (static_cast<double>(s.shape().elements()) / static_cast<double>(x.shape().elements()));
}
Expr MaxOf(Expr x, const Axes& axes) { return Reduce(Op::kMaxReduce, x, axes); }
Expr MinOf(Expr x, const Axes& axes) { return -MaxOf(-x, axes); }
Expr SumAll(Expr x) { return Reshape(Sum(x, AllAxes(x)), {}); }
Expr MeanAll(Expr x) { return SumAll(x) * (1.0 / static_cast<double>(x.shape().elements())); }

Expr Reshape(Expr x, const Shape& shape) {
  Graph* g = GraphOf(Op::kReshape, {x});
  if (g == nullptr || !g->ok()) return {};
  Shape s = shape;
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < s.rank(); ++i) {
    if (s[i] == -1 && open < 0)
      open = i;
    else if (__builtin_mul_overflow(known, s[i], &known))
      known = 0;
  }
  if (open >= 0) s[open] = known > 0 && x.shape().elements() % known == 0 ? x.shape().elements() / known : 0;
  if (s == x.shape()) return x;
  return Make(g, Op::kReshape, {x.id()}, Ints(s));
}
Expr Flatten(Expr x) { return Reshape(x, {x.dim(0), -1}); }

Expr Transpose(Expr x, const Axes& p) {
  Graph* g = GraphOf(Op::kTranspose, {x});
  std::vector<int64_t> ints;
  for (int a : p) ints.push_back(a < 0 ? a + x.rank() : a);
  return Make(g, Op::kTranspose, {x.id()}, std::move(ints));
}
Expr Transpose(Expr x) {
  Axes p = AllAxes(x);
  if (p.size() < 2) return x;
  std::swap(p[p.size() - 1], p[p.size() - 2]);
  return Transpose(x, p);
}

Expr Slice(Expr x, int axis, int64_t begin, int64_t extent, int64_t step) {
  Graph* g = GraphOf(Op::kSlice, {x});
  if (g == nullptr || !g->ok()) return {};
  if (axis < 0) axis += x.rank();
  if (axis < 0 || axis >= x.rank()) {
    g->Fail("Slice: axis " + std::to_string(axis) + " is outside rank " + std::to_string(x.rank()));
    return {};
  }
  const auto rank = static_cast<size_t>(x.rank());
  SliceAttrs a{std::vector<int64_t>(rank, 0), Ints(x.shape()), std::vector<int64_t>(rank, 1)};
  a.begin[axis] = begin, a.extent[axis] = extent, a.step[axis] = step;
  if (begin == 0 && extent == x.dim(axis) && step == 1) return x;
  return Make(g, Op::kSlice, {x.id()}, a.Pack());
}

Expr Pad(Expr x, int axis, int64_t before, int64_t after) {
  Graph* g = GraphOf(Op::kPad, {x});
  if (g == nullptr || !g->ok()) return {};
  if (axis < 0) axis += x.rank();
  const int64_t most = kMaxElements;
  if (axis < 0 || axis >= x.rank() || before < 0 || after < 0 || before > most || after > most) {
    g->Fail("Pad: axis or amount is out of range");
    return {};
  }
  if (before == 0 && after == 0) return x;
  const auto rank = static_cast<size_t>(x.rank());
  SliceAttrs a{std::vector<int64_t>(rank, 0), Ints(x.shape()), std::vector<int64_t>(rank, 1)};
  a.begin[axis] = before, a.extent[axis] += before + after;
  return Make(g, Op::kPad, {x.id()}, a.Pack());
}

Expr Concat(std::span<const Expr> xs, int axis) {
  if (xs.empty()) return {};
  Graph* g = xs[0].graph();
  if (axis < 0) axis += xs[0].rank();
  std::vector<ValueId> in;
  for (const Expr& x : xs) {
    GraphOf(Op::kConcat, {xs[0], x});
    in.push_back(x.id());
  }
  if (xs.size() == 1) return xs[0];
  return Make(g, Op::kConcat, std::move(in), {axis});
}
Expr Concat(std::initializer_list<Expr> xs, int axis) { return Concat(std::span(xs.begin(), xs.size()), axis); }

Expr BroadcastTo(Expr x, const Shape& shape) {
  Graph* g = GraphOf(Op::kBroadcast, {x});
  if (g == nullptr || !g->ok()) return {};
  x = Lift(x, shape.rank());
  if (x.shape() == shape) return x;
  return Make(g, Op::kBroadcast, {x.id()}, Ints(shape));
}

Expr MatMul(Expr a, Expr b, bool ta, bool tb) {
  Graph* g = GraphOf(Op::kMatMul, {a, b});
  return Make(g, Op::kMatMul, {a.id(), b.id()}, {ta, tb});
}
Expr Conv2d(Expr x, Expr w, const ConvAttrs& a) {
  Graph* g = GraphOf(Op::kConv2d, {x, w});
  return Make(g, Op::kConv2d, {x.id(), w.id()}, a.Pack());
}
Expr ConvTranspose2d(Expr x, Expr w, const ConvAttrs& a) {
  Graph* g = GraphOf(Op::kConv2dInput, {x, w});
  return Make(g, Op::kConv2dInput, {x.id(), w.id()}, a.Pack());
}
Expr MaxPool(Expr x, const PoolAttrs& a) {
  Graph* g = GraphOf(Op::kMaxPool, {x});
  return Make(g, Op::kMaxPool, {x.id(), x.id()}, a.Pack());
}
Expr AvgPool(Expr x, const PoolAttrs& a) {
  Graph* g = GraphOf(Op::kAvgPool, {x});
  return Make(g, Op::kAvgPool, {x.id()}, a.Pack());
}
Expr AdaptiveAvgPool(Expr x, int64_t h, int64_t w) {
  if (h == 1 && w == 1 && x.rank() == 4) return Mean(x, {2, 3});
  if (h == x.dim(2) && w == x.dim(3)) return x;
  PoolAttrs a;
  a.adaptive = 1, a.size[0] = h, a.size[1] = w;
  return AvgPool(x, a);
}
Expr AdaptiveMaxPool(Expr x, int64_t h, int64_t w) {
  if (h == x.dim(2) && w == x.dim(3)) return x;
  PoolAttrs a;
  a.adaptive = 1, a.size[0] = h, a.size[1] = w;
  return MaxPool(x, a);
}

Normalized BatchNorm(Expr x, Expr gamma, Expr beta, double eps) {
  Graph* g = GraphOf(Op::kBatchNorm, {x, gamma, beta});
  if (g == nullptr) return {};
  Node n;
  n.op = Op::kBatchNorm;
  n.in = {x.id(), gamma.id(), beta.id()};
  n.reals = {eps};
  const NodeId id = g->Add(std::move(n));
  if (id == ~0u) return {};
  const auto& out = g->node(id).out;
  return {{g, out[0]}, {g, out[1]}, {g, out[2]}};
}

Expr Gather(Expr table, Expr indices) {
  Graph* g = GraphOf(Op::kGather, {table, indices});
  return Make(g, Op::kGather, {table.id(), indices.id()});
}
Expr ScatterAdd(Expr rows, Expr indices, int64_t table_rows) {
  Graph* g = GraphOf(Op::kScatterAdd, {rows, indices});
  return Make(g, Op::kScatterAdd, {rows.id(), indices.id()}, {table_rows});
}
Expr Rank(Expr x) { return Unary(Op::kRank, x); }
Expr StopGradient(Expr x) { return Unary(Op::kStopGradient, x); }

}  // namespace distil
