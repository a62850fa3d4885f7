#include "tests/ops/op_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lib/expr/nn.h"

namespace distil {
namespace {

// Inputs hold numbers that every type under test represents, so that only the computation rounds.
double Rounded(double v, bool bf16) {
  const float f = static_cast<float>(v);
  if (!bf16) return f;
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

}  // namespace

Expr Sample::In(const Shape& shape, Domain d) {
  const std::string name = "x" + std::to_string(feeds_.size());
  const auto n = static_cast<size_t>(shape.elements());
  std::vector<double> values(n);
  if (d.distinct) {  // equally spaced, in random order
    for (size_t i = 0; i < n; ++i) values[i] = d.lo + (d.hi - d.lo) * static_cast<double>(i) / static_cast<double>(n);
    rng.Shuffle(&values);
  }
  for (double& v : values) {
    if (d.step > 0)
      v = d.offset + d.step * std::round(rng.Uniform(d.lo, d.hi) / d.step);
    else if (!d.distinct)
      v = rng.Uniform(d.lo, d.hi);
    v = Rounded(v, bf16_);
  }
  feeds_[name] = {values, false};
  inputs_.push_back(Input(&graph, name, shape));
  return inputs_.back();
}

Expr Sample::Index(const Shape& shape, int64_t n) {
  const std::string name = "x" + std::to_string(feeds_.size());
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  for (double& v : values) v = static_cast<double>(rng.Int(0, n - 1));
  feeds_[name] = {values, true};
  return IndexInput(&graph, name, shape);
}

Shape Sample::AnyShape(int min_rank, int max_rank) {
  Shape s;
  const int64_t rank = rng.Int(min_rank, max_rank);
  for (int64_t i = 0; i < rank; ++i) s.Append(rng.Int(1, rank > 3 ? 3 : 5));
  // Sometimes a row that is longer than vectors, and not a multiple of them.
  if (rank > 0 && rng.Int(0, 3) == 0) s[static_cast<int>(rank) - 1] = rng.Int(16, 37);
  return s;
}

Shape Sample::BroadcastsTo(const Shape& shape) {
  Shape s = shape;
  for (int i = 0; i < s.rank(); ++i)
    if (rng.Int(0, 2) == 0) s[i] = 1;
  return s;
}

namespace {

using Exprs = std::vector<Expr>;

Expr Primitive(Sample& s, Op op, const Exprs& in, std::vector<int64_t> ints = {}) {
  std::vector<ValueId> ids;
  for (const Expr& e : in) ids.push_back(e.id());
  return {&s.graph, s.graph.AddValue(op, ids, std::move(ints))};
}

// ---- Pointwise

struct PointwiseCase {
  Op op;
  Domain x, y, z;
  double tolerance = 8;
};

const Domain kAwayFromZero = {-3, 3, 0.25, 0.125};
const Domain kGrid = {-2, 2, 0.25, 0}, kBetween = {-2, 2, 0.25, 0.125};
const Domain kFewIntegers = {-1, 1, 1, 0};

const PointwiseCase kPointwise[] = {
    {Op::kNeg, {}, {}, {}},
    {Op::kExp, {-3, 3}, {}, {}},
    {Op::kLog, {0.2, 5}, {}, {}},
    {Op::kLog1p, {-0.7, 4}, {}, {}},
    {Op::kSqrt, {0.2, 5}, {}, {}},
    {Op::kAbs, kAwayFromZero, {}, {}},
    {Op::kSign, kAwayFromZero, {}, {}},
    {Op::kFloor, kAwayFromZero, {}, {}},
    {Op::kRelu, kAwayFromZero, {}, {}},
    {Op::kRelu6, {-3, 9, 0.25, 0.125}, {}, {}},
    {Op::kSigmoid, {-5, 5}, {}, {}},
    {Op::kTanh, {-3, 3}, {}, {}},
    {Op::kAdd, {}, {}, {}},
    {Op::kSub, {}, {}, {}},
    {Op::kMul, {}, {}, {}},
    {Op::kDiv, {}, {0.5, 3}, {}},
    {Op::kPow, {0.3, 3}, {-2, 2}, {}, 16},
    {Op::kMax, kGrid, kBetween, {}},
    {Op::kMin, kGrid, kBetween, {}},
    {Op::kLess, kGrid, kBetween, {}},
    {Op::kGreater, kGrid, kBetween, {}},
    {Op::kEqual, kFewIntegers, kFewIntegers, {}},
    {Op::kSelect, kFewIntegers, {}, {}},
};

OpCase Pointwise(const PointwiseCase& c) {
  auto build = [c](Sample& s) -> Exprs {
    const int arity = Arity(c.op);
    const Domain domains[] = {c.x, c.y, c.z};
    const Shape shape = s.AnyShape(0, 5);
    Exprs in;
    for (int i = 0; i < arity; ++i)
      in.push_back(s.In(arity > 1 && s.rng.Coin() ? s.BroadcastsTo(shape) : shape, domains[i]));
    return {Primitive(s, c.op, in)};
  };
  return {std::string(OpName(c.op)), c.op, build, c.tolerance};
}

// ---- Convolution

struct ConvShapes {
  Shape x, w, y;
  ConvAttrs a;
};

enum ConvKind { kPlainConv, kPointConv, kStrided, kGeneral, kGrouped, kDepthwise, kWide };
const std::pair<const char*, ConvKind> kConvs[] = {
    {"3x3", kPlainConv},   {"1x1", kPointConv},       {"strided", kStrided}, {"general", kGeneral},
    {"grouped", kGrouped}, {"depthwise", kDepthwise}, {"wide", kWide},
};

ConvShapes RandomConv(Sample& s, ConvKind kind) {
  Rng& r = s.rng;
  ConvShapes c;
  int64_t in = r.Int(1, 4), out = r.Int(1, 4), k[2] = {3, 3};
  c.a.pad[0] = c.a.pad[1] = 1;
  switch (kind) {
    case kPlainConv: break;
    case kPointConv:
      k[0] = k[1] = 1;
      c.a.pad[0] = c.a.pad[1] = 0;
      c.a.stride[0] = c.a.stride[1] = r.Int(1, 2);
      break;
    case kStrided: c.a.stride[0] = c.a.stride[1] = 2; break;
    case kGeneral:
      for (int i = 0; i < 2; ++i) {
        k[i] = r.Int(1, 4), c.a.stride[i] = r.Int(1, 3), c.a.pad[i] = r.Int(0, 3), c.a.dilation[i] = r.Int(1, 2);
      }
      break;
    case kGrouped:
      c.a.groups = r.Int(2, 3);
      in *= c.a.groups, out *= c.a.groups;
      break;
    case kDepthwise:
      c.a.groups = in = r.Coin() ? 16 : r.Int(2, 5);
      out = in * r.Int(1, 2);
      c.a.stride[0] = c.a.stride[1] = r.Int(1, 2);
      break;
    case kWide: in = out = 16; break;
  }
  const int64_t n = r.Int(1, 3);
  c.x = {n, in, 0, 0};
  c.w = {out, in / c.a.groups, k[0], k[1]};
  c.y = {n, out, 0, 0};
  for (int i = 0; i < 2; ++i) {
    const int64_t span = c.a.dilation[i] * (k[i] - 1) + 1;
    c.x[2 + i] = std::max<int64_t>(1, r.Int(3, 7)) + std::max<int64_t>(0, span - 2 * c.a.pad[i] - 3);
    c.y[2 + i] = (c.x[2 + i] + 2 * c.a.pad[i] - span) / c.a.stride[i] + 1;
  }
  return c;
}

OpCase Conv(const char* name, ConvKind kind) {
  return {std::string("Conv2d_") + name, Op::kConv2d,
          [kind](Sample& s) -> Exprs {
            const ConvShapes c = RandomConv(s, kind);
            return {Conv2d(s.In(c.x), s.In(c.w), c.a)};
          },
          32};
}
OpCase ConvInput(const char* name, ConvKind kind) {
  return {std::string("Conv2dInput_") + name, Op::kConv2dInput,
          [kind](Sample& s) -> Exprs {
            ConvShapes c = RandomConv(s, kind);
            c.a.size[0] = c.x[2], c.a.size[1] = c.x[3];
            return {ConvTranspose2d(s.In(c.y), s.In(c.w), c.a)};
          },
          32};
}
OpCase ConvWeight(const char* name, ConvKind kind) {
  return {std::string("Conv2dWeight_") + name, Op::kConv2dWeight,
          [kind](Sample& s) -> Exprs {
            ConvShapes c = RandomConv(s, kind);
            c.a.size[0] = c.w[2], c.a.size[1] = c.w[3];
            return {Primitive(s, Op::kConv2dWeight, {s.In(c.x), s.In(c.y)}, c.a.Pack())};
          },
          64};
}
// As passes make them; there is no derivative then.
OpCase FusedConv(bool bias, bool residual, bool relu) {
  std::string name = "Conv2d";
  if (bias) name += "_bias";
  if (residual) name += "_residual";
  if (relu) name += "_relu";
  return {name, Op::kConv2d,
          [=](Sample& s) -> Exprs {
            ConvShapes c = RandomConv(s, s.rng.Coin() ? kWide : kGeneral);
            c.a.bias = bias, c.a.residual = residual, c.a.relu = relu;
            Exprs in = {s.In(c.x), s.In(c.w)};
            if (bias) in.push_back(s.In({c.w[0]}));
            if (residual) in.push_back(s.In(c.y));
            return {Primitive(s, Op::kConv2d, in, c.a.Pack())};
          },
          32, 0};
}

// ---- Pooling

struct PoolCase {
  const char* name;
  PoolAttrs a;
};

std::vector<PoolCase> Pools() {
  auto window = [](int64_t kh, int64_t kw, int64_t stride, int64_t pad) {
    PoolAttrs a;
    a.kernel[0] = kh, a.kernel[1] = kw, a.stride[0] = a.stride[1] = stride, a.pad[0] = a.pad[1] = pad;
    return a;
  };
  std::vector<PoolCase> pools = {
      {"2x2", window(2, 2, 2, 0)},      {"overlapping", window(3, 3, 2, 1)},   {"uneven", window(2, 3, 1, 1)},
      {"sparse", window(1, 2, 3, 0)},   {"ceil", window(3, 3, 2, 0)},          {"ceil_padded", window(3, 2, 2, 1)},
      {"unpadded", window(3, 3, 2, 1)}, {"ceil_unpadded", window(3, 3, 2, 1)}, {"adaptive", {}},
  };
  pools[4].a.ceil_mode = pools[5].a.ceil_mode = pools[7].a.ceil_mode = 1;
  pools[6].a.count_include_pad = pools[7].a.count_include_pad = 0;
  pools[8].a.adaptive = 1, pools[8].a.size[0] = 3, pools[8].a.size[1] = 2;
  return pools;
}

Shape PoolInput(Sample& s) { return {s.rng.Int(1, 2), s.rng.Int(1, 17), s.rng.Int(3, 9), s.rng.Int(3, 9)}; }

// Shape of AvgPool's output for an input of this shape.
Shape Pooled(const Shape& x, const PoolAttrs& a) {
  Graph g;
  return AvgPool(Input(&g, "x", x), a).shape();
}

const Domain kDistinct = {-2, 2, 0, 0, true};

void AddPools(std::vector<OpCase>* cases) {
  for (const PoolCase& p : Pools()) {
    const PoolAttrs a = p.a;
    const std::string name = std::string("_") + p.name;
    cases->push_back({"MaxPool" + name, Op::kMaxPool,
                      [a](Sample& s) -> Exprs { return {MaxPool(s.In(PoolInput(s), kDistinct), a)}; }});
    cases->push_back({"MaxPoolSelect" + name, Op::kMaxPool, [a](Sample& s) -> Exprs {
                        const Shape x = PoolInput(s);
                        return {Primitive(s, Op::kMaxPool, {s.In(x, kDistinct), s.In(x)}, a.Pack())};
                      }});
    cases->push_back({"MaxPoolScatter" + name, Op::kMaxPoolScatter, [a](Sample& s) -> Exprs {
                        const Shape x = PoolInput(s);
                        return {Primitive(s, Op::kMaxPoolScatter, {s.In(x, kDistinct), s.In(Pooled(x, a))}, a.Pack())};
                      }});
    cases->push_back(
        {"AvgPool" + name, Op::kAvgPool, [a](Sample& s) -> Exprs { return {AvgPool(s.In(PoolInput(s)), a)}; }});
    cases->push_back({"AvgPoolGrad" + name, Op::kAvgPoolGrad, [a](Sample& s) -> Exprs {
                        const Shape x = PoolInput(s);
                        PoolAttrs b = a;
                        b.out[0] = a.size[0], b.out[1] = a.size[1];
                        b.size[0] = x[2], b.size[1] = x[3];
                        return {Primitive(s, Op::kAvgPoolGrad, {s.In(Pooled(x, a))}, b.Pack())};
                      }});
  }
}

// ---- Moves

// A slice of `big`: shape of the result, and attributes whose `extent` is still to be filled in.
Shape RandomSlice(Sample& s, const Shape& big, SliceAttrs* a) {
  Shape small = big;
  for (int i = 0; i < big.rank(); ++i) {
    a->begin.push_back(s.rng.Int(0, big[i] - 1));
    a->step.push_back(s.rng.Int(1, 3));
    small[i] = s.rng.Int(1, (big[i] - a->begin[i] - 1) / a->step[i] + 1);
  }
  return small;
}

std::vector<int64_t> Dims(const Shape& s) { return {s.dims().begin(), s.dims().end()}; }

Exprs BuildSlice(Sample& s) {
  const Shape big = s.AnyShape(1, 4);
  SliceAttrs a;
  a.extent = Dims(RandomSlice(s, big, &a));
  return {Primitive(s, Op::kSlice, {s.In(big)}, a.Pack())};
}
Exprs BuildPad(Sample& s) {
  const Shape big = s.AnyShape(1, 4);
  SliceAttrs a;
  const Shape small = RandomSlice(s, big, &a);
  a.extent = Dims(big);
  return {Primitive(s, Op::kPad, {s.In(small)}, a.Pack())};
}
Exprs BuildConcat(Sample& s) {
  Shape shape = s.AnyShape(1, 4);
  const int axis = static_cast<int>(s.rng.Int(0, shape.rank() - 1));
  Exprs in;
  for (int64_t n = s.rng.Int(2, 4); n > 0; --n) {
    shape[axis] = s.rng.Int(1, 5);
    in.push_back(s.In(shape));
  }
  return {Concat(in, axis)};
}
Axes RandomPermutation(Sample& s, int rank) {
  Axes p;
  for (int i = 0; i < rank; ++i) p.push_back(i);
  s.rng.Shuffle(&p);
  return p;
}
Exprs BuildTranspose(Sample& s) {
  Expr x = s.In(s.AnyShape(1, 5));
  return {Transpose(x, RandomPermutation(s, x.rank()))};
}
Exprs BuildReshape(Sample& s) {
  const int64_t a = s.rng.Int(1, 4), b = s.rng.Int(1, 4), c = s.rng.Int(1, 4);
  Expr x = s.In({a, b, c});
  return {Reshape(x, {a * b, c}), Reshape(x, {c, -1}) * 2.0, Reshape(x, {1, a * b * c, 1})};
}
Exprs BuildBroadcast(Sample& s) {
  const Shape shape = s.AnyShape(1, 5);
  return {Primitive(s, Op::kBroadcast, {s.In(s.BroadcastsTo(shape))}, Dims(shape))};
}
// Index tensors move as well.
Exprs BuildIndexMoves(Sample& s) {
  const int64_t n = s.rng.Int(2, 6);
  Expr i = s.Index({n}, 100), j = s.Index({n}, 100);
  Expr both = Concat({Reshape(i, {1, n}), Reshape(j, {1, n})}, 0);  // [2,n]
  Expr table = Reshape(Transpose(both), {2 * n});
  return {Transpose(both), BroadcastTo(Slice(both, 1, 1, n - 1), {2, n - 1}), Gather(table, s.Index({3}, 2 * n))};
}
// Ops that compute read indices as numbers.
Exprs BuildIndexArithmetic(Sample& s) {
  const int64_t n = s.rng.Int(2, 6);
  Expr i = s.Index({n}, 3), x = s.In({n, 3});
  return {i * 0.5,       Sum(i, {0}), Equal(Reshape(i, {n, 1}), Reshape(i, {1, n})), OneHot(i, 3), PickLabel(x, i),
          MaxOf(i, {0}), Rank(i)};
}

// ---- Reductions, order, rows

Axes RandomAxes(Sample& s, int rank) {
  Axes axes;
  for (int i = 0; i < rank; ++i)
    if (s.rng.Coin()) axes.push_back(i);
  return axes;
}
Exprs BuildSum(Sample& s) {
  Expr x = s.In(s.AnyShape(0, 5));
  return {Sum(x, RandomAxes(s, x.rank())), SumAll(x)};
}
Exprs BuildMaxReduce(Sample& s) {
  Expr x = s.In(s.AnyShape(1, 4), kDistinct);
  Axes axes = RandomAxes(s, x.rank());
  return {MaxOf(x, axes), MinOf(x, {-1})};
}
Exprs BuildBatchNorm(Sample& s) {
  const int64_t n = s.rng.Int(2, 4), c = s.rng.Coin() ? 16 : s.rng.Int(1, 4);
  const Shape x = s.rng.Coin() ? Shape{n, c} : Shape{n, c, s.rng.Int(1, 4), s.rng.Int(1, 4)};
  Normalized r = BatchNorm(s.In(x), s.In({c}, {0.5, 2}), s.In({c}), 1e-2);
  return {r.y, r.mean, r.variance};
}
Exprs BuildMatMul(Sample& s, bool ta, bool tb, bool batched) {
  const int64_t b = s.rng.Int(1, 3), m = s.rng.Int(1, 20), k = s.rng.Int(1, 20), n = s.rng.Int(1, 20);
  Shape x = ta ? Shape{k, m} : Shape{m, k}, y = tb ? Shape{n, k} : Shape{k, n};
  if (batched) x = {b, x[0], x[1]}, y = {b, y[0], y[1]};
  return {MatMul(s.In(x), s.In(y), ta, tb)};
}
Exprs BuildGather(Sample& s) {
  const Shape table = s.AnyShape(1, 3);
  return {Gather(s.In(table), s.Index({s.rng.Int(1, 7)}, table[0]))};
}
Exprs BuildScatterAdd(Sample& s) {
  const Shape rows = s.AnyShape(1, 3);
  const int64_t n = s.rng.Int(1, 5);
  return {ScatterAdd(s.In(rows), s.Index({rows[0]}, n), n)};
}
Exprs BuildRandom(Sample& s) {
  const int64_t n = s.rng.Int(1, 4);
  Expr key = s.Index({4}, 1 << 30), ids = s.Index({n}, 50000);
  Expr image = Random(key, ids, 3, {n, 3, 5, 2});
  return {Random(key, ids, 0, {n, 7}), image, s.In({n, 3, 5, 2}) * Less(image, 0.5)};
}

// ---- What passes make

// y = relu(x * g + b), with its sum over the last axis and its maximum over the first.
Exprs BuildFused(Sample& s) {
  const Shape space = {s.rng.Int(1, 4), s.rng.Int(1, 5), s.rng.Int(1, 20)};
  Expr x = s.In(space), g = s.In({1, space[1], 1}), b = s.In(space);
  auto body = std::make_shared<FusedBody>();
  body->space = space;
  auto load = [](int i) { return FusedBody::Instr{FusedBody::kLoad, Op::kAdd, {i, 0, 0}, 0}; };
  auto op = [](Op o, int i, int j = 0, int k = 0) { return FusedBody::Instr{FusedBody::kOp, o, {i, j, k}, 0}; };
  const FusedBody::Instr half = {FusedBody::kConst, Op::kAdd, {0, 0, 0}, 0.5};
  body->code = {load(0),         load(1), load(2), half, op(Op::kMul, 0, 1), op(Op::kMul, 2, 3), op(Op::kAdd, 4, 5),
                op(Op::kRelu, 6)};
  body->outs = {{7, FusedBody::kStore, space},
                {7, FusedBody::kSum, {space[0], space[1], 1}},
                {6, FusedBody::kMax, {1, space[1], space[2]}}};
  Node n;
  n.op = Op::kFused;
  n.in = {x.id(), g.id(), b.id()};
  n.fused = body;
  const NodeId id = s.graph.Add(std::move(n));
  if (id == ~0u) return {};
  const std::vector<ValueId> out = s.graph.node(id).out;
  return {{&s.graph, out[0]}, {&s.graph, out[1]}, {&s.graph, out[2]}};
}

// ---- Composites of nn.h and expr.h

Shape Image(Sample& s) { return {s.rng.Int(1, 2), s.rng.Int(1, 4), s.rng.Int(1, 6), s.rng.Int(1, 6)}; }

std::vector<OpCase> MakeCases() {
  std::vector<OpCase> cases;
  for (const PointwiseCase& c : kPointwise) cases.push_back(Pointwise(c));
  cases.push_back({"Pow_constant", Op::kPow, [](Sample& s) -> Exprs {
                     Expr x = s.In(s.AnyShape(1, 3));
                     return {Pow(x, 2.0), Pow(x, 3.0)};
                   }});

  cases.push_back({"Constant", Op::kConstant, [](Sample& s) -> Exprs { return {Constant(&s.graph, 0.75)}; }});
  cases.push_back({"Data", Op::kData, [](Sample& s) -> Exprs { return {Data(&s.graph, {2, 2}, {1, -2, 0.5, 4})}; }});
  cases.push_back({"Iota", Op::kIota, [](Sample& s) -> Exprs { return {Iota(&s.graph, s.AnyShape(0, 3))}; }});
  cases.push_back({"Random", Op::kRandom, BuildRandom, 8, 1});

  cases.push_back({"Sum", Op::kSum, BuildSum, 256});
  cases.push_back({"MaxReduce", Op::kMaxReduce, BuildMaxReduce});
  cases.push_back({"Reshape", Op::kReshape, BuildReshape});
  cases.push_back({"Transpose", Op::kTranspose, BuildTranspose});
  cases.push_back({"Slice", Op::kSlice, BuildSlice});
  cases.push_back({"Pad", Op::kPad, BuildPad});
  cases.push_back({"Concat", Op::kConcat, BuildConcat});
  cases.push_back({"Broadcast", Op::kBroadcast, BuildBroadcast});
  cases.push_back({"IndexMoves", {}, BuildIndexMoves});
  cases.push_back({"IndexArithmetic", {}, BuildIndexArithmetic});
  for (int i = 0; i < 8; ++i) {
    const bool ta = i & 1, tb = i & 2, batched = i & 4;
    const std::string name = std::string("MatMul_") + (ta ? "t" : "n") + (tb ? "t" : "n") + (batched ? "_batched" : "");
    cases.push_back({name, Op::kMatMul, [=](Sample& s) { return BuildMatMul(s, ta, tb, batched); }, 32});
  }
  for (auto [name, kind] : kConvs) {
    cases.push_back(Conv(name, kind));
    cases.push_back(ConvInput(name, kind));
    cases.push_back(ConvWeight(name, kind));
  }
  cases.push_back(FusedConv(true, false, false));
  cases.push_back(FusedConv(false, true, false));
  cases.push_back(FusedConv(true, true, true));
  cases.push_back(FusedConv(true, false, true));
  AddPools(&cases);
  cases.push_back({"BatchNorm", Op::kBatchNorm, BuildBatchNorm, 64});
  cases.push_back({"Gather", Op::kGather, BuildGather});
  cases.push_back({"ScatterAdd", Op::kScatterAdd, BuildScatterAdd});
  cases.push_back({"Rank", Op::kRank, [](Sample& s) -> Exprs { return {Rank(s.In(s.AnyShape(1, 3), kDistinct))}; }});
  cases.push_back({"StopGradient", Op::kStopGradient,
                   [](Sample& s) -> Exprs { return {StopGradient(s.In(s.AnyShape(0, 3)))}; }, 8, 0});
  cases.push_back({"Fused", Op::kFused, BuildFused, 32, 0});
  cases.push_back({"Reorder", Op::kReorder,
                   [](Sample& s) -> Exprs { return {Primitive(s, Op::kReorder, {s.In(s.AnyShape(0, 3))})}; }, 8, 0});

  cases.push_back({"LogSoftmax",
                   {},
                   [](Sample& s) -> Exprs {
                     return {LogSoftmax(s.In(s.AnyShape(1, 3), {-4, 4}))};
                   },
                   32});
  cases.push_back({"Softmax", {}, [](Sample& s) -> Exprs { return {Softmax(s.In(s.AnyShape(1, 3), {-4, 4}))}; }, 32});
  cases.push_back(
      {"Softplus", {}, [](Sample& s) -> Exprs { return {Softplus(s.In(s.AnyShape(1, 3), kAwayFromZero))}; }});
  cases.push_back({"L2Normalize",
                   {},
                   [](Sample& s) -> Exprs {
                     Expr x = s.In({s.rng.Int(1, 4), s.rng.Int(1, 20)}, {0.5, 2});
                     return {L2Normalize(x, {1}), L2Norm(x, {0})};
                   },
                   16});
  cases.push_back({"Mean",
                   {},
                   [](Sample& s) -> Exprs {
                     Expr x = s.In(s.AnyShape(1, 4));
                     return {Mean(x, RandomAxes(s, x.rank())), MeanAll(x)};
                   },
                   16});
  cases.push_back({"GlobalAvgPool", {}, [](Sample& s) -> Exprs { return {GlobalAvgPool(s.In(Image(s)))}; }, 16});
  cases.push_back(
      {"AdaptiveAvgPool",
       {},
       [](Sample& s) -> Exprs { return {AdaptiveAvgPool(s.In(Image(s)), s.rng.Int(1, 4), s.rng.Int(1, 4))}; },
       16});
  cases.push_back({"AdaptiveMaxPool", {}, [](Sample& s) -> Exprs {
                     return {AdaptiveMaxPool(s.In(Image(s), kDistinct), s.rng.Int(1, 4), s.rng.Int(1, 4))};
                   }});
  cases.push_back(
      {"ResizeBilinear",
       {},
       [](Sample& s) -> Exprs { return {ResizeBilinear(s.In(Image(s)), s.rng.Int(1, 9), s.rng.Int(1, 9))}; },
       16});
  cases.push_back({"ResizeNearest", {}, [](Sample& s) -> Exprs {
                     return {ResizeNearest(s.In(Image(s)), s.rng.Int(1, 9), s.rng.Int(1, 9))};
                   }});
  cases.push_back({"ChannelShuffle", {}, [](Sample& s) -> Exprs {
                     const int64_t groups = s.rng.Int(1, 4);
                     return {ChannelShuffle(s.In({2, groups * s.rng.Int(1, 4), 2, 3}), groups)};
                   }});
  cases.push_back({"KthSmallest", {}, [](Sample& s) -> Exprs {
                     Expr x = s.In(s.AnyShape(1, 3), kDistinct);
                     return {KthSmallest(x, s.rng.Int(0, x.dim(-1) - 1))};
                   }});
  cases.push_back({"TopK", {}, [](Sample& s) -> Exprs {
                     Expr x = s.In(s.AnyShape(1, 3), kDistinct);
                     return {TopK(x, s.rng.Int(1, x.dim(-1)))};
                   }});
  cases.push_back({"Dropout", {}, [](Sample& s) -> Exprs {
                     const int64_t n = s.rng.Int(1, 4);
                     return {Dropout(s.In({n, 9}), 0.4, s.Index({4}, 1 << 30), s.Index({n}, 100), 1)};
                   }});
  return cases;
}

}  // namespace

const std::vector<OpCase>& OpCases() {
  static const std::vector<OpCase> cases = MakeCases();
  return cases;
}

bool NeedsCase(Op op) { return op != Op::kInput && op != Op::kVariable; }

}  // namespace distil
