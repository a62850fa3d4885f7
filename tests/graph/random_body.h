// Random bodies of Fused nodes, with operands in any shape, layout and number format, and what they should give:
// evaluated point by point.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/graph/images.h"
#include "tests/ops/harness.h"

namespace distil {

inline const float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

struct BodyOperand {
  Shape shape;  // broadcasts to the space; its rank is the space's
  Layout layout = Layout::kPlain;
  DType dtype = DType::kF32;
  // Instead of `layout`: strides in elements, by logical axis, and an offset.
  std::vector<int64_t> strides;
  int64_t offset = 0;
};

// A pointwise op as its formula says, in f32.
inline float Scalar(Op op, float x, float y, float z) {
  using namespace std;  // exp(float) is float's own
  (void)y, (void)z;
  switch (op) {
#define POINTWISE(name, arity, value, ...) \
  case Op::k##name:                        \
    return static_cast<float>(value);
#include "lib/graph/pointwise.def"
#undef POINTWISE
    default: return 0;
  }
}

inline const Op kPointwise[] = {
#define POINTWISE(name, ...) Op::k##name,
#include "lib/graph/pointwise.def"
#undef POINTWISE
};

using Index = std::vector<int64_t>;

// All points of a shape, the last axis fastest.
template <class F>
void EachPoint(const Shape& s, F f) {
  Index at(static_cast<size_t>(s.rank()), 0);
  for (int64_t n = s.elements(); n > 0; --n) {
    f(at);
    for (int d = s.rank() - 1; d >= 0 && ++at[static_cast<size_t>(d)] == s[d]; --d) at[static_cast<size_t>(d)] = 0;
  }
}

// A tensor in memory as an operand describes it, with a border that nobody may touch.
class Tensor {
 public:
  static constexpr size_t kBorder = 64;

  Tensor(BodyOperand o, int64_t elements) : operand(std::move(o)) {
    bytes_.assign(static_cast<size_t>(elements) * DTypeSize(operand.dtype) + 2 * kBorder, 0xa5);
  }
  explicit Tensor(BodyOperand o) : Tensor(o, o.shape.elements()) {}

  void* data() { return bytes_.data() + kBorder; }
  size_t bytes() const { return bytes_.size() - 2 * kBorder; }  // without the border

  // Where the element at a point of the space lies; extents of 1 broadcast.
  int64_t Offset(const Index& point) const {
    const Shape& s = operand.shape;
    Index i(point.size());
    for (int d = 0; d < s.rank(); ++d) i[static_cast<size_t>(d)] = s[d] == 1 ? 0 : point[static_cast<size_t>(d)];
    int64_t offset = 0;
    if (!operand.strides.empty()) {
      offset = operand.offset;
      for (size_t d = 0; d < i.size(); ++d) offset += i[d] * operand.strides[d];
    } else if (s.rank() == 4) {
      offset = ImageOffset(s, operand.layout, i[0], i[1], i[2], i[3]);
    } else {
      for (int d = 0; d < s.rank(); ++d) offset = offset * s[d] + i[static_cast<size_t>(d)];
    }
    return offset;
  }
  float Get(const Index& point) const {
    const int64_t at = Offset(point);
    const uint8_t* p = bytes_.data() + kBorder;
    switch (operand.dtype) {
      case DType::kBF16: return FromBf16(reinterpret_cast<const uint16_t*>(p)[at]);
      case DType::kI32: return static_cast<float>(reinterpret_cast<const int32_t*>(p)[at]);
      default: return reinterpret_cast<const float*>(p)[at];
    }
  }
  void Set(const Index& point, float v) {
    const int64_t at = Offset(point);
    uint8_t* p = bytes_.data() + kBorder;
    switch (operand.dtype) {
      case DType::kBF16: reinterpret_cast<uint16_t*>(p)[at] = ToBf16(v); break;
      case DType::kI32: reinterpret_cast<int32_t*>(p)[at] = static_cast<int32_t>(v); break;
      default: reinterpret_cast<float*>(p)[at] = v;
    }
  }
  bool BorderIsIntact() const {
    for (size_t i = 0; i < kBorder; ++i)
      if (bytes_[i] != 0xa5 || bytes_[bytes_.size() - 1 - i] != 0xa5) return false;
    return true;
  }
  bool operator==(const Tensor& o) const { return bytes_ == o.bytes_; }

  BodyOperand operand;

 private:
  std::vector<uint8_t> bytes_;
};

inline void Fill(Rng* rng, bool special, Tensor* t) {
  EachPoint(t->operand.shape, [&](const Index& at) {
    float v = static_cast<float>(rng->Uniform(-3, 3));
    if (t->operand.dtype == DType::kI32)
      v = static_cast<float>(rng->Int(-9, 9));
    else if (special && rng->Int(0, 40) == 0)
      v = std::vector<float>{kNan, kInf, -kInf, -0.0f}[rng->Int(0, 3)];
    t->Set(at, v);
  });
}

// What a body should give: stored values, or for a sum its value and the sum of magnitudes that bounds its error.
struct Expected {
  std::vector<double> value, magnitude;
};

inline std::vector<Expected> Evaluate(const FusedBody& body, const std::vector<Tensor>& in,
                                      float (*scalar)(Op, float, float, float) = Scalar) {
  std::vector<Expected> want(body.outs.size());
  for (size_t o = 0; o < want.size(); ++o) {
    const auto n = static_cast<size_t>(body.outs[o].shape.elements());
    want[o].value.assign(n, body.outs[o].reduce == FusedBody::kMax ? -INFINITY : 0.0);
    want[o].magnitude.assign(n, 0.0);
  }
  std::vector<float> v(body.code.size());
  EachPoint(body.space, [&](const Index& at) {
    for (size_t i = 0; i < v.size(); ++i) {
      const FusedBody::Instr& instr = body.code[i];
      if (instr.kind == FusedBody::kLoad) v[i] = in[static_cast<size_t>(instr.arg[0])].Get(at);
      if (instr.kind == FusedBody::kConst) v[i] = static_cast<float>(instr.value);
      if (instr.kind == FusedBody::kOp)
        v[i] = scalar(instr.op, v[static_cast<size_t>(instr.arg[0])], v[static_cast<size_t>(instr.arg[1])],
                      v[static_cast<size_t>(instr.arg[2])]);
    }
    for (size_t o = 0; o < want.size(); ++o) {
      const FusedBody::Out& out = body.outs[o];
      const double x = v[static_cast<size_t>(out.instr)];
      const auto k = static_cast<size_t>(Tensor({out.shape, Layout::kPlain, DType::kF32, {}, 0}, 0).Offset(at));
      double& to = want[o].value[k];
      if (out.reduce == FusedBody::kStore) to = x;
      if (out.reduce == FusedBody::kSum) to += x, want[o].magnitude[k] += std::abs(x);
      if (out.reduce == FusedBody::kMax && !std::isnan(to) && !(x <= to)) to = x;
    }
  });
  return want;
}

inline void ExpectAs(const Expected& want, const FusedBody::Out& out, const Tensor& got, const std::string& what) {
  const bool bf16 = got.operand.dtype == DType::kBF16;
  size_t k = 0;
  int wrong = 0;
  EachPoint(out.shape, [&](const Index& at) {
    const double w = want.value[k], magnitude = want.magnitude[k], g = got.Get(at);
    ++k;
    bool good;
    if (out.reduce == FusedBody::kSum) {
      if (!(magnitude < 1e30)) return;  // whether a partial sum overflows depends on the order
      // Tiles are summed in float, at most 64 numbers in a row, then in double.
      good = std::abs(g - w) <= magnitude * (64 * 6e-8 + (bf16 ? 1.0 / 256 : 0)) + 1e-37;
    } else {
      const float f = static_cast<float>(w);
      good = bf16 ? g == FromBf16(ToBf16(f)) : g == f;
      good = good || (std::isnan(w) && std::isnan(g));
    }
    if (!good && ++wrong == 1) ADD_FAILURE() << what << " number " << k - 1 << " is " << g << ", should be " << w;
  });
  EXPECT_TRUE(got.BorderIsIntact()) << what;
}

inline std::string Text(const BodyOperand& o) {
  const char* layout = o.layout == Layout::kNhwc ? " nhwc" : o.layout == Layout::kBlocked16 ? " blocked" : "";
  const char* type = o.dtype == DType::kBF16 ? " bf16" : o.dtype == DType::kI32 ? " i32" : "";
  return o.shape.ToString() + layout + type;
}
inline std::string Text(const FusedBody& b) {
  std::string s = "space " + b.space.ToString();
  for (size_t i = 0; i < b.code.size(); ++i) {
    s += "\n  %" + std::to_string(i) + " = ";
    const FusedBody::Instr& c = b.code[i];
    if (c.kind == FusedBody::kLoad) s += "in " + std::to_string(c.arg[0]);
    if (c.kind == FusedBody::kConst) s += std::to_string(c.value);
    if (c.kind == FusedBody::kOp) {
      s += OpName(c.op);
      for (int k = 0; k < Arity(c.op); ++k) s += " %" + std::to_string(c.arg[k]);
    }
  }
  for (const FusedBody::Out& o : b.outs)
    s += "\n  out %" + std::to_string(o.instr) +
         (o.reduce == FusedBody::kStore ? " store "
          : o.reduce == FusedBody::kSum ? " sum "
                                        : " max ") +
         o.shape.ToString();
  return s;
}

struct RandomBody {
  FusedBody body;
  std::vector<BodyOperand> in, out;
  std::string text() const {
    std::string s = Text(body);
    for (const BodyOperand& o : in) s += "\n  in " + Text(o);
    for (const BodyOperand& o : out) s += "\n  out " + Text(o);
    return s;
  }
};

inline FusedBody BodyOfOneLoad(const Shape& space, std::vector<FusedBody::Out> outs) {
  FusedBody b;
  b.space = space;
  b.code.push_back({FusedBody::kLoad, Op::kInput, {0, 0, 0}, 0});
  b.outs = std::move(outs);
  return b;
}

// In any of the layouts, of which kBlocked16 is one if `blocked`.
inline BodyOperand AnyOperand(Rng* rng, const Shape& shape, bool input, bool blocked) {
  BodyOperand o{shape, Layout::kPlain, DType::kF32, {}, 0};
  if (shape.rank() == 4 && rng->Coin())
    o.layout = blocked && shape[1] % 16 == 0 && rng->Coin() ? Layout::kBlocked16 : Layout::kNhwc;
  if (rng->Int(0, 3) == 0) o.dtype = input && rng->Int(0, 3) == 0 ? DType::kI32 : DType::kBF16;
  return o;
}

inline Shape AnyShape(Rng* rng) {
  Shape s;
  const int64_t kind = rng->Int(0, 5);
  if (kind == 0) {  // images in blocks, more than a tile
    s = {rng->Int(1, 3), 16 * rng->Int(1, 3), rng->Int(1, 9), rng->Int(1, 9)};
  } else if (kind == 1) {  // rows longer than a tile
    s = {rng->Int(1, 3), rng->Int(1000, 2100)};
  } else if (kind == 2) {
    s = {rng->Int(1, 5), rng->Int(1, 20), rng->Int(1, 12), rng->Int(1, 12)};
  } else {
    for (int64_t rank = rng->Int(0, 8), i = 0; i < rank; ++i) s.Append(rng->Int(1, rank > 5 ? 3 : 7));
  }
  return s;
}

inline RandomBody AnyBody(Rng* rng, bool blocked) {
  RandomBody c;
  c.body.space = AnyShape(rng);
  const Shape& space = c.body.space;
  const bool broadcasts = rng->Int(0, 2) != 0;
  for (int64_t n = rng->Int(1, 5), i = 0; i < n; ++i) {
    Shape s = space;
    for (int d = 0; d < s.rank() && broadcasts; ++d)
      if (rng->Int(0, 3) == 0) s[d] = 1;
    c.in.push_back(AnyOperand(rng, s, true, blocked));
  }
  std::vector<FusedBody::Instr>& code = c.body.code;
  auto earlier = [&] { return static_cast<int32_t>(rng->Int(0, static_cast<int64_t>(code.size()) - 1)); };
  for (size_t i = 0; i < c.in.size(); ++i)
    code.push_back({FusedBody::kLoad, Op::kInput, {static_cast<int32_t>(i), 0, 0}, 0});
  if (rng->Coin()) code.push_back({FusedBody::kConst, Op::kConstant, {0, 0, 0}, rng->Uniform(-2, 2)});
  for (int64_t n = rng->Int(0, 12); n > 0; --n) {
    const Op op = kPointwise[rng->Int(0, std::size(kPointwise) - 1)];
    FusedBody::Instr instr{FusedBody::kOp, op, {0, 0, 0}, 0};
    for (int k = 0; k < Arity(op); ++k) instr.arg[k] = earlier();
    code.push_back(instr);
  }
  for (int64_t n = rng->Int(1, 4); n > 0; --n) {
    FusedBody::Out out{earlier(), FusedBody::kStore, space};
    if (rng->Coin()) {
      out.reduce = rng->Int(0, 2) == 0 ? FusedBody::kMax : FusedBody::kSum;
      for (int d = 0; d < space.rank(); ++d)
        if (rng->Coin()) out.shape[d] = 1;
    }
    c.body.outs.push_back(out);
    BodyOperand o = AnyOperand(rng, out.shape, false, blocked);
    if (out.reduce != FusedBody::kStore) o.layout = Layout::kPlain;  // results of reductions are row-major
    c.out.push_back(o);
  }
  return c;
}

}  // namespace distil
