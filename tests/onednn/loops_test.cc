// The loop engine against a plain evaluation, point by point, of random bodies over random shapes, layouts, number
// formats and numbers of threads.
#include "lib/backend/onednn/loops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "tests/onednn/images.h"
#include "tests/ops/harness.h"

namespace distil::onednn {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

float Scalar(Op op, float x, float y, float z) {
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

const Op kPointwise[] = {
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

  Tensor(LoopOperand o, int64_t elements) : operand(std::move(o)) {
    bytes_.assign(static_cast<size_t>(elements) * DTypeSize(operand.dtype) + 2 * kBorder, 0xa5);
  }
  explicit Tensor(LoopOperand o) : Tensor(o, o.shape.elements()) {}

  void* data() { return bytes_.data() + kBorder; }

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

  LoopOperand operand;

 private:
  std::vector<uint8_t> bytes_;
};

void Fill(Rng* rng, bool special, Tensor* t) {
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

std::vector<Expected> Evaluate(const FusedBody& body, const std::vector<Tensor>& in) {
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
        v[i] = Scalar(instr.op, v[static_cast<size_t>(instr.arg[0])], v[static_cast<size_t>(instr.arg[1])],
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

void ExpectAs(const Expected& want, const FusedBody::Out& out, const Tensor& got, const std::string& what) {
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

std::string Text(const LoopOperand& o) {
  const char* layout = o.layout == Layout::kNhwc ? " nhwc" : o.layout == Layout::kBlocked16 ? " blocked" : "";
  const char* type = o.dtype == DType::kBF16 ? " bf16" : o.dtype == DType::kI32 ? " i32" : "";
  return o.shape.ToString() + layout + type;
}
std::string Text(const FusedBody& b) {
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

struct Case {
  FusedBody body;
  std::vector<LoopOperand> in, out;
  int threads = 1;
  std::string text() const {
    std::string s = Text(body);
    for (const LoopOperand& o : in) s += "\n  in " + Text(o);
    for (const LoopOperand& o : out) s += "\n  out " + Text(o);
    return s + "\n  threads " + std::to_string(threads);
  }
};

// Runs a case: alone, again for equal bits, and once for every pair of operands that may share memory.
void Check(const Case& c, Rng* rng, bool special) {
  SCOPED_TRACE(c.text());
  std::vector<Tensor> in;
  for (const LoopOperand& o : c.in) {
    in.emplace_back(o);
    Fill(rng, special, &in.back());
  }
  const std::vector<Expected> want = Evaluate(c.body, in);
  const std::unique_ptr<Kernel> kernel = MakeLoop(c.body, c.in, c.out, c.threads);
  ASSERT_NE(kernel, nullptr);
  std::vector<char> memory(kernel->workspace() + 128);
  char* workspace = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;

  // in_place[o]: the input whose memory output o takes, or -1
  auto run = [&](const std::vector<int>& in_place) {
    std::vector<Tensor> from = in, to;
    for (const LoopOperand& o : c.out) to.emplace_back(o);
    std::vector<const void*> a;
    std::vector<void*> b;
    for (Tensor& t : from) a.push_back(t.data());
    for (size_t o = 0; o < to.size(); ++o)
      b.push_back(in_place[o] < 0 ? to[o].data() : from[static_cast<size_t>(in_place[o])].data());
    std::memset(memory.data(), 0x7f, memory.size());
    kernel->Run({a.data(), b.data(), workspace});
    for (size_t o = 0; o < to.size(); ++o)
      if (in_place[o] >= 0) to[o] = from[static_cast<size_t>(in_place[o])];
    for (size_t i = 0; i < from.size(); ++i)
      if (std::find(in_place.begin(), in_place.end(), static_cast<int>(i)) == in_place.end()) {
        EXPECT_TRUE(from[i] == in[i]) << "input " << i << " was written";
      }
    for (size_t o = 0; o < to.size(); ++o) ExpectAs(want[o], c.body.outs[o], to[o], "output " + std::to_string(o));
    return to;
  };
  const std::vector<int> apart(c.out.size(), -1);
  const std::vector<Tensor> first = run(apart);
  EXPECT_TRUE(run(apart) == first) << "two runs differ";
  std::vector<int> together = apart;  // as many as may at the same time
  for (size_t o = 0; o < c.out.size(); ++o) {
    for (size_t i = 0; i < c.in.size(); ++i) {
      if (!kernel->MayAlias(static_cast<int>(i), static_cast<int>(o))) continue;
      SCOPED_TRACE("output " + std::to_string(o) + " in place of input " + std::to_string(i));
      std::vector<int> one = apart;
      one[o] = static_cast<int>(i);
      EXPECT_TRUE(run(one) == first);
      if (std::find(together.begin(), together.end(), static_cast<int>(i)) == together.end())
        together[o] = static_cast<int>(i);
    }
  }
  EXPECT_TRUE(run(together) == first);
}

LoopOperand AnyOperand(Rng* rng, const Shape& shape, bool input) {
  LoopOperand o{shape, Layout::kPlain, DType::kF32, {}, 0};
  if (shape.rank() == 4 && rng->Coin())
    o.layout = shape[1] % 16 == 0 && rng->Coin() ? Layout::kBlocked16 : Layout::kNhwc;
  if (rng->Int(0, 3) == 0) o.dtype = input && rng->Int(0, 3) == 0 ? DType::kI32 : DType::kBF16;
  return o;
}

Shape AnyShape(Rng* rng) {
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

Case AnyCase(Rng* rng) {
  Case c;
  c.threads = static_cast<int>(rng->Int(1, 4));
  c.body.space = AnyShape(rng);
  const Shape& space = c.body.space;
  const bool broadcasts = rng->Int(0, 2) != 0;
  for (int64_t n = rng->Int(1, 5), i = 0; i < n; ++i) {
    Shape s = space;
    for (int d = 0; d < s.rank() && broadcasts; ++d)
      if (rng->Int(0, 3) == 0) s[d] = 1;
    c.in.push_back(AnyOperand(rng, s, true));
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
    LoopOperand o = AnyOperand(rng, out.shape, false);
    if (out.reduce != FusedBody::kStore) o.layout = Layout::kPlain;  // results of reductions are row-major
    c.out.push_back(o);
  }
  return c;
}

TEST(Loops, RandomBodies) {
  for (uint64_t seed : TestSeeds(400)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const Case c = AnyCase(&rng);
    Check(c, &rng, rng.Int(0, 3) == 0);
    if (HasFailure()) return;
  }
}

FusedBody Body(const Shape& space, std::vector<FusedBody::Out> outs) {  // out 0 of one load
  FusedBody b;
  b.space = space;
  b.code.push_back({FusedBody::kLoad, Op::kInput, {0, 0, 0}, 0});
  b.outs = std::move(outs);
  return b;
}

TEST(Loops, EverySubsetOfAxesIsReduced) {
  Rng rng(3);
  for (const Shape& space :
       {Shape{3, 32, 5, 7}, Shape{2, 16, 1, 1}, Shape{4, 7, 6, 5}, Shape{1300}, Shape{2, 1, 600}}) {
    for (int axes = 0; axes < 1 << space.rank(); ++axes) {
      Shape s = space;
      for (int d = 0; d < space.rank(); ++d)
        if (axes >> d & 1) s[d] = 1;
      for (Layout layout : {Layout::kPlain, Layout::kNhwc, Layout::kBlocked16}) {
        if (layout != Layout::kPlain && space.rank() != 4) continue;
        if (layout == Layout::kBlocked16 && space[1] % 16) continue;
        for (DType type : {DType::kF32, DType::kBF16}) {
          const LoopOperand in{space, layout, type, {}, 0}, out{s, Layout::kPlain, DType::kF32, {}, 0};
          Check({Body(space, {{0, FusedBody::kSum, s}, {0, FusedBody::kMax, s}}), {in}, {out, out}, 2}, &rng, false);
        }
      }
    }
    if (HasFailure()) return;
  }
}

// The passes of a batch norm in blocks of 16 channels: statistics; then scale, shift and ReLU.
TEST(Loops, BatchNormOverManyTiles) {
  Rng rng(4);
  const Shape x{8, 48, 12, 13}, row{1, 48, 1, 1};
  for (Layout layout : {Layout::kPlain, Layout::kNhwc, Layout::kBlocked16}) {
    for (DType type : {DType::kF32, DType::kBF16}) {
      for (int threads : {1, 2, 3, 4}) {
        const LoopOperand image{x, layout, type, {}, 0}, channel{row, Layout::kPlain, DType::kF32, {}, 0};
        FusedBody sums = Body(x, {{1, FusedBody::kSum, row}, {2, FusedBody::kSum, row}});
        sums.code.push_back({FusedBody::kLoad, Op::kInput, {1, 0, 0}, 0});
        sums.code[1] = {FusedBody::kOp, Op::kMul, {0, 0, 0}, 0};
        sums.code.push_back({FusedBody::kOp, Op::kAbs, {0, 0, 0}, 0});
        Check({sums, {image}, {channel, channel}, threads}, &rng, false);
        FusedBody scale = Body(x, {{5, FusedBody::kStore, x}});
        scale.code.push_back({FusedBody::kLoad, Op::kInput, {1, 0, 0}, 0});
        scale.code.push_back({FusedBody::kLoad, Op::kInput, {2, 0, 0}, 0});
        scale.code.push_back({FusedBody::kOp, Op::kMul, {0, 1, 0}, 0});
        scale.code.push_back({FusedBody::kOp, Op::kAdd, {3, 2, 0}, 0});
        scale.code.push_back({FusedBody::kOp, Op::kRelu, {4, 0, 0}, 0});
        Check({scale, {image, channel, channel}, {image}, threads}, &rng, true);
      }
    }
  }
}

TEST(Loops, NanAndInfinityReachReductions) {
  for (int threads : {1, 4}) {
    const Shape space{64, 100}, row{64, 1}, column{1, 100}, all{1, 1};
    const LoopOperand in{space, Layout::kPlain, DType::kF32, {}, 0};
    auto out = [](const Shape& s) { return LoopOperand{s, Layout::kPlain, DType::kF32, {}, 0}; };
    const FusedBody body = Body(space, {{0, FusedBody::kMax, row},
                                        {0, FusedBody::kMax, column},
                                        {0, FusedBody::kMax, all},
                                        {0, FusedBody::kSum, all}});
    for (float bad : {kNan, kInf, -kInf}) {
      for (int64_t at : {0, 99, 100, 3217, 6399}) {
        std::vector<float> x(6400, 1.0f), rows(64), columns(100), max(1), sum(1);
        x[static_cast<size_t>(at)] = bad;
        const auto kernel = MakeLoop(body, {in}, {out(row), out(column), out(all), out(all)}, threads);
        alignas(64) static char workspace[1 << 16];
        ASSERT_LE(kernel->workspace(), sizeof(workspace));
        const void* a[] = {x.data()};
        void* b[] = {rows.data(), columns.data(), max.data(), sum.data()};
        kernel->Run({a, b, workspace});
        const float want = bad == -kInf ? 1.0f : bad;
        for (float got : {rows[static_cast<size_t>(at / 100)], columns[static_cast<size_t>(at % 100)], max[0]})
          EXPECT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << got << " for " << want;
        EXPECT_TRUE(sum[0] == bad || (std::isnan(sum[0]) && std::isnan(bad)));
      }
    }
  }
}

// Transposed, sliced and dilated parts of larger tensors, on either side.
TEST(Loops, StridedCopies) {
  for (uint64_t seed : TestSeeds(300)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const Shape space = AnyShape(&rng);
    LoopOperand operand[2];  // in, out
    int64_t elements[2];
    for (int side = 0; side < 2; ++side) {
      LoopOperand& o = operand[side] = AnyOperand(&rng, space, false);
      elements[side] = space.elements();
      if (side == 0 ? rng.Coin() : operand[0].strides.empty()) {
        o.layout = Layout::kPlain;
        std::vector<int> order;  // of the axes in memory, innermost first
        for (int d = 0; d < space.rank(); ++d) order.push_back(d);
        rng.Shuffle(&order);
        o.strides.assign(static_cast<size_t>(space.rank()), 0);
        int64_t run = 1;
        for (int d : order) {
          const int64_t step = rng.Int(1, 2), begin = rng.Int(0, 2), after = rng.Int(0, 2);
          o.strides[static_cast<size_t>(d)] = run * step;
          o.offset += run * begin;
          run *= begin + (space[d] - 1) * step + 1 + after;
        }
        elements[side] = run;
        if (space.rank() == 0) elements[side] = 1;
      }
    }
    Tensor in(operand[0], elements[0]), out(operand[1], elements[1]);
    Fill(&rng, true, &in);
    const Tensor before = out;
    const auto kernel = MakeStridedCopy(space, operand[0], operand[1], static_cast<int>(rng.Int(1, 3)));
    std::vector<char> memory(kernel->workspace() + 64);
    const void* a[] = {in.data()};
    void* b[] = {out.data()};
    kernel->Run({a, b, memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64});
    Tensor want = before;  // what is between the elements stays
    EachPoint(space, [&](const Index& at) { want.Set(at, in.Get(at)); });
    EachPoint(space, [&](const Index& at) {
      if (std::isnan(out.Get(at)) && std::isnan(want.Get(at))) out.Set(at, kNan), want.Set(at, kNan);
    });
    EXPECT_TRUE(out == want) << Text(operand[0]) << " to " << Text(operand[1]);
    if (HasFailure()) return;
  }
}

TEST(Loops, BodiesThatAreTooLargeAreRefused) {
  FusedBody body = Body({4}, {{0, FusedBody::kStore, {4}}});
  const LoopOperand o{{4}, Layout::kPlain, DType::kF32, {}, 0};
  EXPECT_NE(MakeLoop(body, {o}, {o}, 1), nullptr);
  EXPECT_EQ(MakeLoop(body, std::vector<LoopOperand>(100, o), {o}, 1), nullptr);
  body.code.resize(600, {FusedBody::kOp, Op::kAbs, {0, 0, 0}, 0});
  EXPECT_EQ(MakeLoop(body, {o}, {o}, 1), nullptr);
}

}  // namespace
}  // namespace distil::onednn
