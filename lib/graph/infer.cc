// Shape rules, one per op: the shapes of a node's outputs from those of its inputs, or one sentence why there are none.
#include <algorithm>
#include <functional>

#include "lib/graph/graph.h"

namespace distil {
namespace {

struct Ctx {
  const Graph& g;
  const Node& n;
  const Shape& variable;
  const Shape& in(int i) const { return g.value(n.in[i]).shape; }
  int arity() const { return static_cast<int>(n.in.size()); }
};

Inferred One(const Shape& s) { return {{s}, ""}; }
Inferred Bad(std::string why) { return {{}, std::move(why)}; }
std::string Str(int64_t v) { return std::to_string(v); }

Shape FromInts(const std::vector<int64_t>& ints, size_t n) { return Shape(std::span(ints.data(), n)); }

// Attributes that count steps, and attributes that are extents: bounded, so that the rules below cannot overflow.
constexpr int64_t kMaxStep = int64_t{1} << 20;
bool IsStep(int64_t v, int64_t least) { return v >= least && v <= kMaxStep; }
bool IsExtent(int64_t v) { return v >= 0 && v <= kMaxElements; }

Inferred InferPointwise(const Ctx& c) {
  Shape out = c.in(0);
  for (int i = 1; i < c.arity(); ++i) {
    const Shape& s = c.in(i);
    if (s.rank() != out.rank()) return Bad("operands have different ranks");
    for (int d = 0; d < s.rank(); ++d) {
      if (s[d] == out[d] || s[d] == 1) continue;
      if (out[d] != 1)
        return Bad("extents " + Str(out[d]) + " and " + Str(s[d]) + " of axis " + Str(d) + " do not broadcast");
      out[d] = s[d];
    }
  }
  return One(out);
}

Inferred InferInput(const Ctx& c) {
  if (c.n.ints.empty() || c.n.ints.size() - 1 > kMaxRank) return Bad("rank above " + Str(kMaxRank));
  return One(FromInts(c.n.ints, c.n.ints.size() - 1));
}
Inferred InferVariable(const Ctx& c) { return One(c.variable); }
Inferred InferConstant(const Ctx& c) { return One(Shape::Ones(static_cast<int>(c.n.ints[0]))); }
Inferred InferData(const Ctx& c) {
  const Shape s = FromInts(c.n.ints, c.n.ints.size());
  if (s.elements() != static_cast<int64_t>(c.n.reals.size()))
    return Bad("shape " + s.ToString() + " needs " + Str(s.elements()) + " numbers, got " + Str(c.n.reals.size()));
  return One(s);
}
Inferred InferIota(const Ctx& c) { return One(FromInts(c.n.ints, c.n.ints.size())); }

// ints: slot, then the shape. Inputs: key [4] and ids [batch].
Inferred InferRandom(const Ctx& c) {
  if (c.n.ints.size() < 2) return Bad("a slot and a shape with one row per sample are needed");
  const Shape s(std::span(c.n.ints.data() + 1, c.n.ints.size() - 1));
  if (c.in(0).elements() != 4 || !c.g.value(c.n.in[0]).index) return Bad("the key has four integers");
  if (c.in(1).rank() != 1 || c.in(1)[0] != s[0] || !c.g.value(c.n.in[1]).index)
    return Bad("one sample id per row is needed");
  if (c.n.ints[0] < 0 || c.n.ints[0] > 255) return Bad("slot " + Str(c.n.ints[0]) + " is outside 0 to 255");
  if (s[0] > 0 && s.elements() / s[0] > int64_t{1} << 26) return Bad("a row has more than 2^26 numbers");
  return One(s);
}

Inferred InferReduce(const Ctx& c) {
  Shape s = c.in(0);
  for (int64_t axis : c.n.ints) {
    if (axis < 0 || axis >= s.rank()) return Bad("axis " + Str(axis) + " is outside rank " + Str(s.rank()));
    s[static_cast<int>(axis)] = 1;
  }
  return One(s);
}
Inferred InferSum(const Ctx& c) { return InferReduce(c); }
Inferred InferMaxReduce(const Ctx& c) { return InferReduce(c); }

Inferred InferReshape(const Ctx& c) {
  if (c.n.ints.size() > kMaxRank) return Bad("rank above " + Str(kMaxRank));
  const Shape s = FromInts(c.n.ints, c.n.ints.size());
  if (s.elements() != c.in(0).elements())
    return Bad("shape " + s.ToString() + " has " + Str(s.elements()) + " elements, the operand " +
               Str(c.in(0).elements()));
  return One(s);
}

Inferred InferTranspose(const Ctx& c) {
  const Shape& x = c.in(0);
  if (static_cast<int>(c.n.ints.size()) != x.rank()) return Bad("the permutation must name every axis once");
  Shape s = x;
  std::vector<bool> seen(x.rank(), false);
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t p = c.n.ints[i];
    if (p < 0 || p >= x.rank() || seen[p]) return Bad("the permutation must name every axis once");
    seen[p] = true;
    s[i] = x[static_cast<int>(p)];
  }
  return One(s);
}

// begin + (small-1)*step of every axis must lie inside `big`.
std::string CheckSlice(const SliceAttrs& a, const Shape& small, const Shape& big) {
  for (int i = 0; i < big.rank(); ++i) {
    if (a.step[i] < 1) return "steps must be 1 or more";
    const bool inside = a.begin[i] >= 0 && a.begin[i] < big[i] && small[i] >= 1 &&
                        small[i] - 1 <= (big[i] - 1 - a.begin[i]) / a.step[i];
    if (!inside)
      return "axis " + Str(i) + ": begin " + Str(a.begin[i]) + ", extent " + Str(small[i]) + ", step " +
             Str(a.step[i]) + " does not fit into " + Str(big[i]);
  }
  return "";
}
Inferred InferSlice(const Ctx& c) {
  if (c.n.ints.size() != 3u * c.in(0).rank()) return Bad("begin, extent and step are needed for every axis");
  const SliceAttrs a = SliceAttrs::Unpack(c.n.ints);
  const Shape out{std::span(a.extent)};
  if (std::string why = CheckSlice(a, out, c.in(0)); !why.empty()) return Bad(why);
  return One(out);
}
Inferred InferPad(const Ctx& c) {
  if (c.n.ints.size() != 3u * c.in(0).rank()) return Bad("begin, extent and step are needed for every axis");
  const SliceAttrs a = SliceAttrs::Unpack(c.n.ints);
  const Shape out{std::span(a.extent)};
  if (std::string why = CheckSlice(a, c.in(0), out); !why.empty()) return Bad(why);
  return One(out);
}

Inferred InferConcat(const Ctx& c) {
  if (c.arity() < 1) return Bad("nothing to concatenate");
  Shape s = c.in(0);
  const int64_t axis = c.n.ints[0];
  if (axis < 0 || axis >= s.rank()) return Bad("axis " + Str(axis) + " is outside rank " + Str(s.rank()));
  for (int i = 1; i < c.arity(); ++i) {
    if (c.in(i).rank() != s.rank()) return Bad("operands have different ranks");
    for (int d = 0; d < s.rank(); ++d)
      if (d != axis && c.in(i)[d] != s[d]) return Bad("operands differ on axis " + Str(d));
    if (c.g.value(c.n.in[i]).index != c.g.value(c.n.in[0]).index) return Bad("index and real operands do not mix");
    s[static_cast<int>(axis)] += c.in(i)[static_cast<int>(axis)];
    if (s.elements() > kMaxElements) return Bad("the result would be too large");
  }
  return One(s);
}

Inferred InferBroadcast(const Ctx& c) {
  const Shape s = FromInts(c.n.ints, c.n.ints.size());
  if (s.rank() != c.in(0).rank()) return Bad("broadcast to " + s.ToString() + " changes the rank");
  for (int i = 0; i < s.rank(); ++i)
    if (c.in(0)[i] != s[i] && c.in(0)[i] != 1) return Bad("does not broadcast to " + s.ToString());
  return One(s);
}

// ints: transpose a, transpose b
Inferred InferMatMul(const Ctx& c) {
  const Shape &a = c.in(0), &b = c.in(1);
  if (a.rank() != b.rank() || (a.rank() != 2 && a.rank() != 3)) return Bad("both operands must have rank 2, or 3");
  const int r = a.rank() - 2;
  if (r == 1 && a[0] != b[0]) return Bad("batch extents differ");
  const bool ta = c.n.ints[0], tb = c.n.ints[1];
  const int64_t m = a[r + ta], k = a[r + !ta], kb = b[r + tb], n = b[r + !tb];
  if (k != kb) return Bad("inner extents " + Str(k) + " and " + Str(kb) + " differ");
  return r ? One({a[0], m, n}) : One({m, n});
}

int64_t ConvOut(int64_t in, int64_t k, int64_t stride, int64_t pad, int64_t dil) {
  const int64_t span = in + 2 * pad - dil * (k - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

std::string CheckConvAttrs(const ConvAttrs& a) {
  for (int i = 0; i < 2; ++i) {
    if (!IsStep(a.stride[i], 1) || !IsStep(a.dilation[i], 1) || !IsStep(a.pad[i], 0))
      return "stride and dilation start at 1, padding at 0, and none exceeds " + Str(kMaxStep);
    if (!IsExtent(a.size[i])) return "extent " + Str(a.size[i]) + " is out of range";
  }
  if (!IsStep(a.groups, 1)) return "groups start at 1 and end at " + Str(kMaxStep);
  return "";
}

std::string CheckConv(const ConvAttrs& a, const Shape& x, const Shape& w, const Shape& y) {
  if (x[1] % a.groups || w[0] % a.groups)
    return Str(x[1]) + " input and " + Str(w[0]) + " output channels do not divide into " + Str(a.groups) + " groups";
  if (w[1] != x[1] / a.groups)
    return "the weight expects " + Str(w[1] * a.groups) + " input channels, the input has " + Str(x[1]);
  for (int i = 0; i < 2; ++i) {
    const int64_t out = ConvOut(x[2 + i], w[2 + i], a.stride[i], a.pad[i], a.dilation[i]);
    if (out < 1) return "the kernel is larger than the padded input";
    if (y[2 + i] != out) return "output extent " + Str(y[2 + i]) + " should be " + Str(out);
  }
  if (y[0] != x[0] || y[1] != w[0]) return "output channels or batch do not fit";
  return "";
}

Inferred InferConv2d(const Ctx& c) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  if (c.arity() != 2 + a.bias + a.residual) return Bad("wrong number of operands");
  const Shape &x = c.in(0), &w = c.in(1);
  if (x.rank() != 4 || w.rank() != 4) return Bad("input and weight must have rank 4");
  if (std::string why = CheckConvAttrs(a); !why.empty()) return Bad(why);
  Shape y{x[0], w[0], 0, 0};
  for (int i = 0; i < 2; ++i) y[2 + i] = ConvOut(x[2 + i], w[2 + i], a.stride[i], a.pad[i], a.dilation[i]);
  if (std::string why = CheckConv(a, x, w, y); !why.empty()) return Bad(why);
  if (a.residual && !(c.in(2 + static_cast<int>(a.bias)) == y)) return Bad("the residual has another shape");
  if (a.bias && c.in(2).elements() != w[0]) return Bad("the bias needs one number per output channel");
  return One(y);
}
Inferred InferConv2dInput(const Ctx& c) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  const Shape &y = c.in(0), &w = c.in(1);
  if (y.rank() != 4 || w.rank() != 4) return Bad("input and weight must have rank 4");
  if (std::string why = CheckConvAttrs(a); !why.empty()) return Bad(why);
  const Shape x{y[0], w[1] * a.groups, a.size[0], a.size[1]};
  if (std::string why = CheckConv(a, x, w, y); !why.empty()) return Bad(why);
  return One(x);
}
Inferred InferConv2dWeight(const Ctx& c) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  const Shape &x = c.in(0), &y = c.in(1);
  if (x.rank() != 4 || y.rank() != 4) return Bad("both operands must have rank 4");
  if (std::string why = CheckConvAttrs(a); !why.empty()) return Bad(why);
  const Shape w{y[1], x[1] / a.groups, a.size[0], a.size[1]};
  if (std::string why = CheckConv(a, x, w, y); !why.empty()) return Bad(why);
  return One(w);
}

int64_t PoolOut(const PoolAttrs& a, int64_t in, int i) {
  if (a.adaptive) return a.size[i];
  const int64_t span = in + 2 * a.pad[i] - a.kernel[i];
  if (span < 0) return 0;
  int64_t out = (span + (a.ceil_mode ? a.stride[i] - 1 : 0)) / a.stride[i] + 1;
  if (a.ceil_mode && (out - 1) * a.stride[i] >= in + a.pad[i]) --out;
  return out;
}
Inferred PoolShape(const PoolAttrs& a, const Shape& x) {
  if (x.rank() != 4) return Bad("the input must have rank 4");
  for (int i = 0; i < 2; ++i) {
    if (a.adaptive) {
      if (a.size[i] < 1) return Bad("output extents start at 1");
    } else if (!IsStep(a.kernel[i], 1) || !IsStep(a.stride[i], 1) || a.pad[i] < 0 || a.pad[i] > a.kernel[i] / 2) {
      return Bad("kernel and stride start at 1 and end at " + Str(kMaxStep) + ", padding is at most half the kernel");
    }
  }
  const Shape y{x[0], x[1], PoolOut(a, x[2], 0), PoolOut(a, x[3], 1)};
  if (y[2] < 1 || y[3] < 1) return Bad("the kernel is larger than the padded input");
  return One(y);
}
Inferred InferMaxPool(const Ctx& c) {
  if (!(c.in(0) == c.in(1))) return Bad("selector and values have different shapes");
  return PoolShape(PoolAttrs::Unpack(c.n.ints), c.in(0));
}
Inferred InferMaxPoolScatter(const Ctx& c) {
  Inferred y = PoolShape(PoolAttrs::Unpack(c.n.ints), c.in(0));
  if (!y.error.empty()) return y;
  if (!(y.shapes[0] == c.in(1))) return Bad("the gradient should have shape " + y.shapes[0].ToString());
  return One(c.in(0));
}
Inferred InferAvgPool(const Ctx& c) { return PoolShape(PoolAttrs::Unpack(c.n.ints), c.in(0)); }
// size holds the extents of AvgPool's input; with adaptive, `out` those of its output.
Inferred InferAvgPoolGrad(const Ctx& c) {
  PoolAttrs a = PoolAttrs::Unpack(c.n.ints);
  const Shape& y = c.in(0);
  if (y.rank() != 4) return Bad("the input must have rank 4");
  if (!IsExtent(a.size[0]) || !IsExtent(a.size[1])) return Bad("the input's extents are out of range");
  const Shape x{y[0], y[1], a.size[0], a.size[1]};
  if (a.adaptive) a.size[0] = a.out[0], a.size[1] = a.out[1];
  Inferred check = PoolShape(a, x);
  if (!check.error.empty()) return check;
  if (!(check.shapes[0] == y)) return Bad("the gradient should have shape " + check.shapes[0].ToString());
  return One(x);
}

Inferred InferBatchNorm(const Ctx& c) {
  const Shape& x = c.in(0);
  if (x.rank() != 2 && x.rank() != 4) return Bad("the input must have rank 2 or 4");
  const Shape channels{x[1]};
  if (!(c.in(1) == channels) || !(c.in(2) == channels)) return Bad("scale and shift need one number per channel");
  if (x.elements() / x[1] < 2) return Bad("batch statistics need more than one value per channel");
  return {{x, channels, channels}, ""};
}

Inferred InferGather(const Ctx& c) {
  const Shape &t = c.in(0), &i = c.in(1);
  if (t.rank() < 1 || i.rank() != 1 || !c.g.value(c.n.in[1]).index)
    return Bad("a table and a list of indices are needed");
  Shape s = t;
  s[0] = i[0];
  return One(s);
}
// ints: number of rows of the table
Inferred InferScatterAdd(const Ctx& c) {
  const Shape &r = c.in(0), &i = c.in(1);
  if (r.rank() < 1 || i.rank() != 1 || i[0] != r[0] || !c.g.value(c.n.in[1]).index)
    return Bad("rows and one index for each are needed");
  Shape s = r;
  s[0] = c.n.ints[0];
  return One(s);
}
Inferred InferRank(const Ctx& c) {
  if (c.in(0).rank() < 1) return Bad("a scalar has no order");
  return One(c.in(0));
}
Inferred InferStopGradient(const Ctx& c) { return One(c.in(0)); }
Inferred InferFused(const Ctx& c) {
  Inferred r;
  for (const FusedBody::Out& o : c.n.fused->outs) r.shapes.push_back(o.shape);
  return r;
}
Inferred InferReorder(const Ctx& c) { return One(c.in(0)); }

}  // namespace

Inferred InferShapes(const Graph& g, const Node& n, const Shape& variable) {
  const Ctx c{g, n, variable};
  if (const int arity = Arity(n.op); arity >= 0 && arity != c.arity())
    return Bad("takes " + Str(arity) + " operands, got " + Str(c.arity()));
  switch (n.op) {
#define POINTWISE(name, ...) case Op::k##name:
#include "lib/graph/pointwise.def"
#undef POINTWISE
    return InferPointwise(c);
#define OP(name, ...) \
  case Op::k##name:   \
    return Infer##name(c);
#include "lib/graph/ops.def"
#undef OP
  }
  return Bad("unknown op");
}

}  // namespace distil
