// Pooling over every layout and number format against the reference in f64.
#include "lib/backend/onednn/pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "tests/graph/images.h"
#include "tests/ops/harness.h"

namespace distil::onednn {
namespace {

// An image batch in memory, from its row-major numbers and back.
std::vector<char> Pack(const std::vector<double>& values, const Shape& s, Layout layout, bool bf16) {
  std::vector<char> memory(values.size() * (bf16 ? 2 : 4));
  size_t i = 0;
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t h = 0; h < s[2]; ++h)
        for (int64_t w = 0; w < s[3]; ++w) {
          const int64_t at = ImageOffset(s, layout, n, c, h, w);
          const float v = static_cast<float>(values[i++]);
          if (bf16)
            reinterpret_cast<uint16_t*>(memory.data())[at] = ToBf16(v);
          else
            reinterpret_cast<float*>(memory.data())[at] = v;
        }
  return memory;
}

std::vector<double> Unpack(const char* memory, const Shape& s, Layout layout, bool bf16) {
  std::vector<double> values;
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t h = 0; h < s[2]; ++h)
        for (int64_t w = 0; w < s[3]; ++w) {
          const int64_t at = ImageOffset(s, layout, n, c, h, w);
          values.push_back(bf16 ? FromBf16(reinterpret_cast<const uint16_t*>(memory)[at])
                                : reinterpret_cast<const float*>(memory)[at]);
        }
  return values;
}

PoolAttrs AnyPool(Rng* rng, int64_t h, int64_t w) {
  PoolAttrs a;
  const int64_t extent[] = {h, w};
  if (rng->Int(0, 4) == 0) {
    a.adaptive = 1;
    for (int i = 0; i < 2; ++i) a.size[i] = rng->Int(1, extent[i]);
    return a;
  }
  for (int i = 0; i < 2; ++i) {
    a.kernel[i] = rng->Int(1, std::min<int64_t>(4, extent[i]));
    a.stride[i] = rng->Coin() ? a.kernel[i] : rng->Int(1, 3);
    a.pad[i] = rng->Int(0, a.kernel[i] / 2);
  }
  a.ceil_mode = rng->Coin();
  a.count_include_pad = rng->Coin();
  return a;
}

// A graph with one pooling op; its operands are inputs "a" and "b".
struct Case {
  Graph g;
  ValueId out = kNoValue;
  Feeds feeds;

  ValueId In(const std::string& name, const Shape& s, Rng* rng, int few) {
    for (int64_t i = s.elements(); i > 0; --i) {
      // Few different numbers, so that maxima tie; all of them exact in bf16.
      double v = static_cast<double>(rng->Int(-few, few)) / 4;
      if (rng->Int(0, 60) == 0) v = rng->Coin() ? std::numeric_limits<double>::quiet_NaN() : -INFINITY;
      feeds[name].values.push_back(v);
    }
    return g.Input(name, s);
  }
};

void Check(Op op, Shape x, PoolAttrs a, Rng* rng, bool special) {
  Graph shapes;
  const ValueId probe = shapes.AddValue(Op::kAvgPool, {shapes.Input("x", x)}, a.Pack());
  if (!shapes.ok()) return;  // the kernel does not fit
  const Shape y = shapes.value(probe).shape;
  PoolAttrs attrs = a;
  if (op == Op::kAvgPoolGrad)
    for (int i = 0; i < 2; ++i) attrs.out[i] = a.size[i], attrs.size[i] = x[2 + i];
  Case c;
  std::vector<ValueId> in = {c.In("a", op == Op::kAvgPoolGrad ? y : x, rng, 9)};
  if (op == Op::kMaxPool) in.push_back(rng->Coin() ? in[0] : c.In("b", x, rng, 60));
  if (op == Op::kMaxPoolScatter) in.push_back(c.In("b", y, rng, 60));
  if (!special)
    for (auto& [name, feed] : c.feeds)
      for (double& v : feed.values) v = std::isfinite(v) ? v : 0.0;
  c.out = c.g.AddValue(op, in, attrs.Pack());
  c.g.Output("out", c.out);
  ASSERT_EQ(c.g.error(), "");
  const std::vector<double> want = RunOnce(ReferenceF64(), c.g, c.feeds).at("out");

  for (Layout layout : LayoutsOf(x)) {
    for (bool bf16 : {false, true}) {
      for (int threads : {1, 2}) {
        SCOPED_TRACE(Describe(c.g, c.g.producer(c.out)) + " layout " + std::to_string(static_cast<int>(layout)) +
                     (bf16 ? " bf16" : ""));
        for (ValueId v = 0; v < c.g.value_count(); ++v) {
          Value& value = c.g.mutable_value(v);
          const bool spatial = value.shape[2] * value.shape[3] > 1;
          value.layout = spatial ? layout : Layout::kPlain;
          value.dtype = bf16 ? DType::kBF16 : DType::kF32;
        }
        const auto kernel = MakePool(c.g, c.g.producer(c.out), threads);
        std::vector<std::vector<char>> memory;
        std::vector<const void*> from;
        for (ValueId v : in) {
          const Value& value = c.g.value(v);
          memory.push_back(Pack(c.feeds[c.g.producer(v).name].values, value.shape, layout, bf16));
        }
        for (auto& m : memory) from.push_back(m.data());
        const Shape& shape = c.g.value(c.out).shape;
        const size_t bytes = static_cast<size_t>(shape.elements()) * (bf16 ? 2 : 4);
        std::vector<char> result(bytes + 64, 0x5a), workspace(kernel->workspace() + 1, 0x5a);
        void* to[] = {result.data()};
        kernel->Run({from.data(), to, workspace.data()});
        EXPECT_EQ(workspace.back(), 0x5a);
        for (size_t i = bytes; i < result.size(); ++i) EXPECT_EQ(result[i], 0x5a);
        const std::vector<double> got = Unpack(result.data(), shape, layout, bf16);
        const bool exact = op == Op::kMaxPool || op == Op::kMaxPoolScatter;
        for (size_t i = 0; i < want.size(); ++i) {
          if (std::isnan(want[i]) && std::isnan(got[i])) continue;
          if (got[i] == want[i]) continue;
          // Scattered numbers are sums of few quarters: exact but for the rounding to bf16.
          const double tolerance = (exact ? 0 : 1e-5) + (bf16 ? std::abs(want[i]) / 256 : 0);
          ASSERT_NEAR(got[i], want[i], tolerance) << "number " << i;
        }
      }
    }
  }
}

const Op kOps[] = {Op::kMaxPool, Op::kMaxPoolScatter, Op::kAvgPool, Op::kAvgPoolGrad};

TEST(Pool, RandomWindows) {
  for (uint64_t seed : TestSeeds(150)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const int64_t channels = std::vector<int64_t>{1, 3, 16, 20, 32}[rng.Int(0, 4)];
    const Shape x{rng.Int(1, 3), channels, rng.Int(1, 9), rng.Int(1, 9)};
    Check(kOps[seed % 4], x, AnyPool(&rng, x[2], x[3]), &rng, rng.Int(0, 3) == 0);
    if (HasFailure()) return;
  }
}

// VGG's pooling, with enough work for several threads; and pooling down to a single place.
TEST(Pool, TwoByTwoAndGlobal) {
  Rng rng(5);
  PoolAttrs two;
  PoolAttrs overlapping, global, one;
  for (int i = 0; i < 2; ++i) {
    two.kernel[i] = two.stride[i] = 2;
    overlapping.kernel[i] = 3, overlapping.stride[i] = 2, overlapping.pad[i] = 1;
    global.kernel[i] = global.stride[i] = 8;
    one.adaptive = one.size[i] = 1;
  }
  for (Op op : kOps) {
    Check(op, {4, 48, 16, 16}, two, &rng, false);
    Check(op, {4, 48, 16, 16}, overlapping, &rng, true);
    Check(op, {3, 32, 8, 8}, global, &rng, false);
    Check(op, {3, 32, 8, 8}, one, &rng, false);
    Check(op, {2, 20, 5, 7}, one, &rng, false);
    Check(op, {2, 16, 1, 1}, one, &rng, false);
  }
}

}  // namespace
}  // namespace distil::onednn
