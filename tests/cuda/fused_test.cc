// Generated kernels, run by the interpreter of PTX, against a plain evaluation point by point of random bodies over
// random shapes, layouts and number formats: the same bits for what is stored, every sum within its rounding, nothing
// written beside the results, no race, in any order of blocks, and with results in place of operands.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "lib/backend/cuda/ptx_math.h"
#include "tests/cuda/run_fused.h"
#include "tests/graph/random_body.h"

namespace distil::cuda {
namespace {

// A pointwise op as the generator computes it (ptx_math_test.cc says how well), so that whole bodies can be compared
// exactly.
float Generated(Op op, float x, float y, float z) {
  static std::map<Op, std::unique_ptr<PtxKernel>> kernels;
  std::unique_ptr<PtxKernel>& kernel = kernels[op];
  if (!kernel) {
    Asm a;
    auto argument = [&](const char* name) {
      return a.F("mov.b32", a.R("cvt.u32.u64", a.D("ld.param.u64", Val(name))));
    };
    const Val in[] = {argument("[p0]"), argument("[p1]"), argument("[p2]")};
    const Val to = a.D("ld.param.u64", Val("[p3]"));
    a.Do("st.global.f32", "[" + to + "]", EmitPointwise(&a, op, in[0], in[1], in[2]));
    kernel = std::make_unique<PtxKernel>(a.Module("op", {"u64", "u64", "u64", "u64"}, 1, 0));
  }
  float r = 0;
  auto bits = [](float v) { return uint64_t{std::bit_cast<uint32_t>(v)}; };
  const std::string why =
      kernel->Run(1, 1, {bits(x), bits(y), bits(z), reinterpret_cast<uint64_t>(&r)}, {{&r, sizeof r}});
  EXPECT_EQ(why, "");
  return r;
}

float Function(Op op, float x, float y, float z) {
  switch (op) {
    case Op::kExp:
    case Op::kLog:
    case Op::kLog1p:
    case Op::kPow:
    case Op::kSigmoid:
    case Op::kTanh: return Generated(op, x, y, z);
    default: return Scalar(op, x, y, z);
  }
}

Operand Of(const BodyOperand& o) {
  if (!o.strides.empty()) return {o.dtype, o.strides, o.offset};
  Value v;
  v.shape = o.shape, v.layout = o.layout, v.dtype = o.dtype;
  return OperandOf(v);
}

// Runs a case: alone, again with its blocks in another order, and once for every pair of operands that may share
// memory.
void Check(const RandomBody& c, Rng* rng, bool special) {
  SCOPED_TRACE(c.text());
  std::vector<Tensor> in;
  std::vector<Operand> from, to;
  for (const BodyOperand& o : c.in) {
    in.emplace_back(o);
    Fill(rng, special, &in.back());
    from.push_back(Of(o));
  }
  for (const BodyOperand& o : c.out) to.push_back(Of(o));
  const std::vector<Expected> want = Evaluate(c.body, in, Function);
  FusedPlan plan;
  const Status status = PlanFused(c.body, from, to, &plan);
  ASSERT_TRUE(status.ok()) << status.message();
  const FusedRunner kernel(plan);

  // in_place[o]: the input whose memory output o takes, or -1
  auto run = [&](const std::vector<int>& in_place, bool backwards) {
    std::vector<Tensor> a = in, b;
    for (const BodyOperand& o : c.out) b.emplace_back(o);
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    std::vector<Region> regions;
    for (size_t i = 0; i < a.size(); ++i) {
      const bool shared = std::find(in_place.begin(), in_place.end(), static_cast<int>(i)) != in_place.end();
      inputs.push_back(a[i].data());
      regions.push_back({a[i].data(), a[i].bytes(), shared});
    }
    for (size_t o = 0; o < b.size(); ++o) {
      outputs.push_back(in_place[o] < 0 ? b[o].data() : a[static_cast<size_t>(in_place[o])].data());
      regions.push_back({b[o].data(), b[o].bytes()});
    }
    EXPECT_EQ(kernel.Run(inputs, outputs, regions, backwards), "");
    for (size_t o = 0; o < b.size(); ++o)
      if (in_place[o] >= 0) b[o] = a[static_cast<size_t>(in_place[o])];
    for (size_t o = 0; o < b.size(); ++o) ExpectAs(want[o], c.body.outs[o], b[o], "output " + std::to_string(o));
    return b;
  };
  const std::vector<int> apart(c.out.size(), -1);
  const std::vector<Tensor> first = run(apart, false);
  EXPECT_TRUE(run(apart, true) == first) << "the order of blocks matters";
  std::vector<int> together = apart;  // as many as may at the same time
  bool any = false;
  for (size_t o = 0; o < c.out.size(); ++o)
    for (size_t i = 0; i < c.in.size() && together[o] < 0; ++i)
      if (MayShare(c.body, from[i], to[o], c.body.outs[o].reduce) &&
          std::find(together.begin(), together.end(), static_cast<int>(i)) == together.end())
        together[o] = static_cast<int>(i), any = true;
  if (any) {
    EXPECT_TRUE(run(together, false) == first) << "results in place of operands differ";
  }
}

TEST(Fused, RandomBodies) {
  for (uint64_t seed : TestSeeds(120)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const RandomBody c = AnyBody(&rng, /*blocked=*/false);
    Check(c, &rng, rng.Int(0, 3) == 0);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Fused, EverySubsetOfAxesIsReduced) {
  Rng rng(3);
  for (const Shape& space : {Shape{3, 32, 5, 7}, Shape{2, 16, 1, 1}, Shape{4, 7, 6, 5}, Shape{1300}, Shape{2, 1, 600},
                             Shape{37, 1000}, Shape{20, 8, 30, 9}}) {
    for (int axes = 0; axes < 1 << space.rank(); ++axes) {
      Shape s = space;
      for (int d = 0; d < space.rank(); ++d)
        if (axes >> d & 1) s[d] = 1;
      for (Layout layout : {Layout::kPlain, Layout::kNhwc}) {
        if (layout != Layout::kPlain && space.rank() != 4) continue;
        for (DType type : {DType::kF32, DType::kBF16}) {
          const BodyOperand in{space, layout, type, {}, 0}, out{s, Layout::kPlain, DType::kF32, {}, 0};
          Check({BodyOfOneLoad(space, {{0, FusedBody::kSum, s}, {0, FusedBody::kMax, s}}), {in}, {out, out}}, &rng,
                axes == 1);
        }
      }
    }
    if (testing::Test::HasFailure()) return;
  }
}

// Bodies of every kind of pass: the plan is what the comment says, so that all of it is tested.
TEST(Fused, EveryKindOfPass) {
  auto plan = [](const Shape& space, const Shape& sum, Layout layout, DType type) {
    Value x, y;
    x.shape = space, x.layout = layout, x.dtype = type, y.shape = sum;
    FusedPlan p;
    EXPECT_TRUE(PlanFused(BodyOfOneLoad(space, {{0, FusedBody::kSum, sum}}), {OperandOf(x)}, {OperandOf(y)}, &p).ok());
    return p;
  };
  Rng rng(5);
  auto check = [&](const Shape& space, const Shape& sum, Layout layout, DType type) {
    const BodyOperand in{space, layout, type, {}, 0}, out{sum, Layout::kPlain, DType::kF32, {}, 0};
    Check({BodyOfOneLoad(space, {{0, FusedBody::kSum, sum}, {0, FusedBody::kMax, sum}, {0, FusedBody::kStore, space}}),
           {in},
           {out, out, in}},
          &rng, false);
  };
  // Rows by groups of threads within a warp.
  FusedPlan p = plan({5000, 10}, {5000, 1}, Layout::kPlain, DType::kF32);
  EXPECT_EQ(p.passes.size(), 1u);
  EXPECT_EQ(p.passes[0].reduced_threads, 8);  // five pairs
  // Rows by blocks.
  p = plan({64, 4000}, {64, 1}, Layout::kPlain, DType::kF32);
  EXPECT_EQ(p.passes[0].reduced_threads, 256);
  EXPECT_EQ(p.passes[0].lanes, 4);
  check({64, 4000}, {64, 1}, Layout::kPlain, DType::kF32);
  // Channels of images in bf16, channels last: split over blocks, whose results a second pass adds.
  p = plan({16, 64, 24, 24}, {1, 64, 1, 1}, Layout::kNhwc, DType::kBF16);
  ASSERT_EQ(p.passes.size(), 2u);
  EXPECT_EQ(p.passes[0].lanes, 8);
  EXPECT_EQ(p.passes[0].kept_threads, 8);
  EXPECT_GT(p.passes[0].splits, 8);
  check({16, 64, 24, 24}, {1, 64, 1, 1}, Layout::kNhwc, DType::kBF16);
  // All of it.
  p = plan({100, 3, 31, 11}, {1, 1, 1, 1}, Layout::kPlain, DType::kF32);
  ASSERT_EQ(p.passes.size(), 2u);
  EXPECT_EQ(p.passes[0].axes.size(), 1u);
  check({100, 3, 31, 11}, {1, 1, 1, 1}, Layout::kPlain, DType::kF32);
  // Channels of row-major images: the reduced axes lie around the kept one.
  check({12, 3, 9, 35}, {1, 3, 1, 1}, Layout::kPlain, DType::kF32);
}

// Two nodes whose sums reduce different axes, and a store: a pass for each, the store with the last.
TEST(Fused, DifferentReductionsInOneBody) {
  const Shape space{40, 60};
  FusedBody body = BodyOfOneLoad(space, {{0, FusedBody::kSum, {40, 1}},
                                         {1, FusedBody::kStore, space},
                                         {0, FusedBody::kMax, {1, 60}},
                                         {1, FusedBody::kSum, {1, 1}}});
  body.code.push_back({FusedBody::kOp, Op::kMul, {0, 0, 0}, 0});
  auto o = [](const Shape& s) { return BodyOperand{s, Layout::kPlain, DType::kF32, {}, 0}; };
  Rng rng(6);
  Check({body, {o(space)}, {o({40, 1}), o(space), o({1, 60}), o({1, 1})}}, &rng, false);
}

// Parts of larger tensors: operands and results with strides and offsets of their own.
TEST(Fused, StridedParts) {
  for (uint64_t seed : TestSeeds(100)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const Shape space = AnyShape(&rng);
    BodyOperand operand[2];
    int64_t elements[2];
    for (int side = 0; side < 2; ++side) {  // every axis of a tensor with room at both ends, and steps between
      BodyOperand& o = operand[side];
      o.shape = space;
      o.dtype = rng.Int(0, 2) ? DType::kF32 : DType::kBF16;
      int64_t run = 1;
      for (int d = space.rank() - 1; d >= 0; --d) {
        const int64_t begin = 4 * rng.Int(0, 1), step = rng.Int(0, 2) ? 1 : rng.Int(1, 3);
        o.strides.insert(o.strides.begin(), run * step);
        o.offset += begin * run;
        run *= begin + space[d] * step + 4 * rng.Int(0, 1);
      }
      elements[side] = run;
    }
    Tensor in(operand[0], elements[0]), out(operand[1], elements[1]);
    Fill(&rng, false, &in);
    FusedPlan plan;
    FusedBody body = BodyOfOneLoad(space, {{0, FusedBody::kStore, space}});
    ASSERT_TRUE(PlanFused(body, {Of(operand[0])}, {Of(operand[1])}, &plan).ok());
    Tensor want = out;  // what is between the elements stays
    EachPoint(space, [&](const Index& at) { want.Set(at, in.Get(at)); });
    EXPECT_EQ(
        FusedRunner(plan).Run({in.data()}, {out.data()}, {{in.data(), in.bytes(), false}, {out.data(), out.bytes()}}),
        "");
    EXPECT_TRUE(out == want) << space.ToString();
    if (testing::Test::HasFailure()) return;
  }
}

// Many nodes of equal code in one launch, driven by a table.
TEST(Fused, ManyNodesInOneLaunch) {
  Rng rng(8);
  const int64_t sizes[] = {1, 7, 4096, 1000, 64, 2049, 3};
  FusedBody body = BodyOfOneLoad({}, {{2, FusedBody::kStore, {}}});  // y = x + rate * g
  body.code = {{FusedBody::kLoad, Op::kInput, {0, 0, 0}, 0},
               {FusedBody::kLoad, Op::kInput, {1, 0, 0}, 0},
               {FusedBody::kOp, Op::kMul, {0, 1, 0}, 0}};
  float rate = 0.3f;
  std::vector<std::vector<float>> x, y;
  std::vector<uint64_t> table;
  std::vector<uint32_t> list;
  std::vector<Region> regions = {{&rate, sizeof rate, false}};
  std::string code;
  for (int64_t n : sizes) {
    Value full, scalar;
    full.shape = {n}, scalar.shape = {1};
    body.space = body.outs[0].shape = full.shape;
    FusedPlan plan;
    ASSERT_TRUE(PlanFused(body, {OperandOf(full), OperandOf(scalar)}, {OperandOf(full)}, &plan).ok());
    const Pass& p = plan.passes[0];
    if (n == 1) continue;  // a number has another stride, and so another code
    ASSERT_TRUE(p.flat);
    if (!code.empty()) {
      EXPECT_EQ(FusedCode(p, true), code) << n;
    }
    code = FusedCode(p, true);
    x.emplace_back(n), y.emplace_back(n);
    for (float& v : x.back()) v = static_cast<float>(rng.Uniform(-1, 1));
    for (uint32_t piece = 0; piece < static_cast<uint32_t>(p.blocks); ++piece) {
      list.push_back(static_cast<uint32_t>(x.size()) - 1);
      list.push_back(piece);
    }
    const void* inputs[] = {x.back().data(), &rate};
    void* outputs[] = {y.back().data()};
    for (uint64_t v : FusedArguments(p, {inputs, outputs, nullptr})) table.push_back(v);
    regions.push_back({x.back().data(), x.back().size() * 4, false});
    regions.push_back({y.back().data(), y.back().size() * 4});
  }
  regions.push_back({table.data(), table.size() * 8, false});
  regions.push_back({list.data(), list.size() * 4, false});
  EXPECT_EQ(
      PtxKernel(code).Run(static_cast<int64_t>(list.size()) / 2, 1,
                          {reinterpret_cast<uint64_t>(table.data()), reinterpret_cast<uint64_t>(list.data())}, regions),
      "");
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t k = 0; k < x[i].size(); ++k) ASSERT_EQ(y[i][k], x[i][k] * rate);
}

// Tensors of more than 2^31 elements: a strided operand that only its corners are read from.
TEST(Fused, WideIndices) {
  const Shape space{3, 2};
  Operand far{DType::kF32, {int64_t{1} << 31, 1}, 0};
  const FusedBody body = BodyOfOneLoad(space, {{0, FusedBody::kStore, space}});
  FusedPlan plan;
  ASSERT_TRUE(PlanFused(body, {far}, {{DType::kF32, {2, 1}, 0}}, &plan).ok());
  ASSERT_TRUE(plan.passes[0].wide);
  // Rows of 2^33 bytes: the regions say where the few that exist lie, as addresses.
  std::vector<float> in(2, 1.0f), out(6, 0.0f);
  const std::string why = FusedRunner(plan).Run({in.data()}, {out.data()}, {{in.data(), 8, false}, {out.data(), 24}});
  EXPECT_NE(why.find("thread 1: an address outside"), std::string::npos) << why;

  // The same with small strides, forced to be wide, gives the same numbers.
  for (uint64_t seed : TestSeeds(60)) {
    Rng rng(seed);
    RandomBody c = AnyBody(&rng, false);
    std::vector<Operand> from, to;
    for (const BodyOperand& o : c.in) from.push_back(Of(o));
    for (const BodyOperand& o : c.out) to.push_back(Of(o));
    std::vector<Tensor> a, results[2];
    for (const BodyOperand& o : c.in) a.emplace_back(o), Fill(&rng, false, &a.back());
    for (int wide = 0; wide < 2; ++wide) {
      FusedPlan p;
      ASSERT_TRUE(PlanFused(c.body, from, to, &p).ok());
      for (Pass& pass : p.passes) pass.wide = wide;
      std::vector<const void*> inputs;
      std::vector<void*> outputs;
      std::vector<Region> regions;
      for (Tensor& t : a) inputs.push_back(t.data()), regions.push_back({t.data(), t.bytes(), false});
      for (const BodyOperand& o : c.out) results[wide].emplace_back(o);
      for (Tensor& t : results[wide]) outputs.push_back(t.data()), regions.push_back({t.data(), t.bytes()});
      ASSERT_EQ(FusedRunner(p).Run(inputs, outputs, regions), "") << c.text();
    }
    EXPECT_TRUE(results[0] == results[1]) << c.text();
  }
}

}  // namespace
}  // namespace distil::cuda
