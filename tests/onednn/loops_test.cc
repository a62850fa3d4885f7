// The loop engine against a plain evaluation, point by point, of random bodies over random shapes, layouts, number
// formats and numbers of threads.
#include "lib/backend/onednn/loops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "tests/graph/random_body.h"

namespace distil::onednn {
namespace {

struct Case {
  FusedBody body;
  std::vector<BodyOperand> in, out;
  int threads = 1;
};

LoopOperand Of(const BodyOperand& o) { return {o.shape, o.layout, o.dtype, o.strides, o.offset}; }
std::vector<LoopOperand> Of(const std::vector<BodyOperand>& operands) {
  std::vector<LoopOperand> of;
  for (const BodyOperand& o : operands) of.push_back(Of(o));
  return of;
}

void ExpectSameNumbers(const Case& c, std::vector<Tensor> a, std::vector<Tensor> b) {
  for (size_t o = 0; o < a.size(); ++o) {
    EachPoint(c.out[o].shape, [&](const Index& at) {
      if (std::isnan(a[o].Get(at)) && std::isnan(b[o].Get(at))) a[o].Set(at, kNan), b[o].Set(at, kNan);
    });
    EXPECT_TRUE(a[o] == b[o]) << "output " << o << " differs by machine code";
  }
}

// Runs a case: alone, again for equal bits, and once for every pair of operands that may share memory.
void Check(const Case& c, Rng* rng, bool special) {
  const RandomBody whole{c.body, c.in, c.out};
  SCOPED_TRACE(whole.text() + "\n  threads " + std::to_string(c.threads));
  std::vector<Tensor> in;
  for (const BodyOperand& o : c.in) {
    in.emplace_back(o);
    Fill(rng, special, &in.back());
  }
  const std::vector<Expected> want = Evaluate(c.body, in);
  const std::unique_ptr<Kernel> kernel = MakeLoop(c.body, Of(c.in), Of(c.out), c.threads, /*compile=*/true);
  ASSERT_NE(kernel, nullptr);
  std::vector<char> memory(kernel->workspace() + 128);
  char* workspace = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;

  // in_place[o]: the input whose memory output o takes, or -1
  auto run = [&](const std::vector<int>& in_place, Kernel* by = nullptr) {
    std::vector<Tensor> from = in, to;
    for (const BodyOperand& o : c.out) to.emplace_back(o);
    std::vector<const void*> a;
    std::vector<void*> b;
    for (Tensor& t : from) a.push_back(t.data());
    for (size_t o = 0; o < to.size(); ++o)
      b.push_back(in_place[o] < 0 ? to[o].data() : from[static_cast<size_t>(in_place[o])].data());
    std::memset(memory.data(), 0x7f, memory.size());
    (by ? by : kernel.get())->Run({a.data(), b.data(), workspace});
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
  // Machine code and the engine's own instructions give the same bits, but for those of NaN.
  const std::unique_ptr<Kernel> plain = MakeLoop(c.body, Of(c.in), Of(c.out), c.threads, /*compile=*/false);
  ASSERT_EQ(plain->workspace(), kernel->workspace());
  ExpectSameNumbers(c, first, run(apart, plain.get()));
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

TEST(Loops, RandomBodies) {
  for (uint64_t seed : TestSeeds(400)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const RandomBody b = AnyBody(&rng, /*blocked=*/true);
    const Case c = {b.body, b.in, b.out, static_cast<int>(rng.Int(1, 4))};
    Check(c, &rng, rng.Int(0, 3) == 0);
    if (HasFailure()) return;
  }
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
          const BodyOperand in{space, layout, type, {}, 0}, out{s, Layout::kPlain, DType::kF32, {}, 0};
          Check({BodyOfOneLoad(space, {{0, FusedBody::kSum, s}, {0, FusedBody::kMax, s}}), {in}, {out, out}, 2}, &rng,
                false);
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
        const BodyOperand image{x, layout, type, {}, 0}, channel{row, Layout::kPlain, DType::kF32, {}, 0};
        FusedBody sums = BodyOfOneLoad(x, {{1, FusedBody::kSum, row}, {2, FusedBody::kSum, row}});
        sums.code.push_back({FusedBody::kLoad, Op::kInput, {1, 0, 0}, 0});
        sums.code[1] = {FusedBody::kOp, Op::kMul, {0, 0, 0}, 0};
        sums.code.push_back({FusedBody::kOp, Op::kAbs, {0, 0, 0}, 0});
        Check({sums, {image}, {channel, channel}, threads}, &rng, false);
        FusedBody scale = BodyOfOneLoad(x, {{5, FusedBody::kStore, x}});
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
    const BodyOperand in{space, Layout::kPlain, DType::kF32, {}, 0};
    auto out = [](const Shape& s) { return BodyOperand{s, Layout::kPlain, DType::kF32, {}, 0}; };
    const FusedBody body = BodyOfOneLoad(space, {{0, FusedBody::kMax, row},
                                                 {0, FusedBody::kMax, column},
                                                 {0, FusedBody::kMax, all},
                                                 {0, FusedBody::kSum, all}});
    for (float bad : {kNan, kInf, -kInf}) {
      for (int64_t at : {0, 99, 100, 3217, 6399}) {
        std::vector<float> x(6400, 1.0f), rows(64), columns(100), max(1), sum(1);
        x[static_cast<size_t>(at)] = bad;
        const auto kernel =
            MakeLoop(body, {Of(in)}, {Of(out(row)), Of(out(column)), Of(out(all)), Of(out(all))}, threads, true);
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
    BodyOperand operand[2];  // in, out
    int64_t elements[2];
    for (int side = 0; side < 2; ++side) {
      BodyOperand& o = operand[side] = AnyOperand(&rng, space, false, /*blocked=*/true);
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
    const auto kernel = MakeStridedCopy(space, Of(operand[0]), Of(operand[1]), static_cast<int>(rng.Int(1, 3)));
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
  FusedBody body = BodyOfOneLoad({4}, {{0, FusedBody::kStore, {4}}});
  const BodyOperand o{{4}, Layout::kPlain, DType::kF32, {}, 0};
  EXPECT_NE(MakeLoop(body, {Of(o)}, {Of(o)}, 1, true), nullptr);
  EXPECT_EQ(MakeLoop(body, std::vector<LoopOperand>(100, Of(o)), {Of(o)}, 1, true), nullptr);
  body.code.resize(600, {FusedBody::kOp, Op::kAbs, {0, 0, 0}, 0});
  EXPECT_EQ(MakeLoop(body, {Of(o)}, {Of(o)}, 1, true), nullptr);
}

}  // namespace
}  // namespace distil::onednn
