// What ops do at the edges that random inputs miss, by hand: ties, NaN, infinities, indices out of range, and random
// numbers. Every backend.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lib/base/random.h"
#include "lib/expr/nn.h"
#include "tests/ops/harness.h"

namespace distil {
namespace {

using Numbers = std::vector<double>;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

class Values : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (GetParam() == TestBackends().size()) return;  // the reference in f64
    own_ = TestBackends()[GetParam()].make();
    backend_ = own_.get();
    options_.bf16 = TestBackends()[GetParam()].bf16;
  }

  // The one output of a graph.
  template <class F>
  Numbers Run(const Feeds& feeds, F build) {
    Graph g;
    g.low_scope = options_.bf16;
    g.Output("y", build(&g).id());
    EXPECT_TRUE(g.ok()) << g.error();
    return RunOnce(backend_, g, feeds, options_)["y"];
  }
  template <class F>
  Numbers Of(const Shape& shape, const Numbers& x, F build) {
    return Run({{"x", {x}}}, [&](Graph* g) { return build(Input(g, "x", shape)); });
  }

  std::unique_ptr<Backend> own_;
  Backend* backend_ = ReferenceF64();
  CompileOptions options_;
};

void ExpectSame(const Numbers& got, const Numbers& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(want[i]))
      EXPECT_TRUE(std::isnan(got[i])) << "element " << i << " is " << got[i];
    else
      EXPECT_EQ(got[i], want[i]) << "element " << i;
  }
}

TEST_P(Values, NanPassesThroughClipping) {
  ExpectSame(Of({3}, {kNan, -1, 2}, [](Expr x) { return Relu(x); }), {kNan, 0, 2});
  ExpectSame(Of({3}, {kNan, -1, 8}, [](Expr x) { return Relu6(x); }), {kNan, 0, 6});
  ExpectSame(Of({2}, {kNan, 1}, [](Expr x) { return Max(x, 0.0); }), {kNan, 1});
  ExpectSame(Of({2}, {kNan, 1}, [](Expr x) { return Min(Constant(x.graph(), 0.5), x); }), {kNan, 0.5});
  ExpectSame(Of({4}, {1, kNan, 3, 2}, [](Expr x) { return MaxOf(x, {0}); }), {kNan});
  ExpectSame(Of({4}, {1, kNan, 3, 2}, [](Expr x) { return Sum(x, {0}); }), {kNan});
}

TEST_P(Values, MaximumOfInfinities) {
  ExpectSame(Of({2, 2}, {-kInf, -kInf, 1, kInf}, [](Expr x) { return MaxOf(x, {1}); }), {-kInf, kInf});
}

TEST_P(Values, ComparisonsWithNanAreFalse) {
  ExpectSame(Of({2}, {kNan, 1}, [](Expr x) { return Less(x, 2.0) + Greater(x, 0.0) + Equal(x, x); }), {0, 3});
}

TEST_P(Values, SelectTakesOneBranchOnly) {
  ExpectSame(Of({2}, {0, 4}, [](Expr x) { return Select(x, 1.0 / x, 7.0); }), {7, 0.25});
}

TEST_P(Values, RankIsStable) {
  ExpectSame(Of({2, 4}, {3, 1, 3, 1, 0, 0, 0, 0}, [](Expr x) { return Rank(x); }), {2, 0, 3, 1, 0, 1, 2, 3});
  ExpectSame(Of({4}, {kNan, 1, kInf, -kInf}, [](Expr x) { return Rank(x); }), {3, 1, 2, 0});
}

TEST_P(Values, OrderStatisticsWithTies) {
  ExpectSame(Of({5}, {2, 1, 2, 3, 1}, [](Expr x) { return TopK(x, 3); }), {3, 2, 2});
  ExpectSame(Of({5}, {2, 1, 2, 3, 1}, [](Expr x) { return KthSmallest(x, 1); }), {1});
  ExpectSame(Of({3}, {kInf, 1, -kInf}, [](Expr x) { return TopK(x, 2); }), {kInf, 1});
}

PoolAttrs Window(int64_t kernel, int64_t stride, int64_t pad) {
  PoolAttrs a;
  a.kernel[0] = a.kernel[1] = kernel, a.stride[0] = a.stride[1] = stride, a.pad[0] = a.pad[1] = pad;
  return a;
}

TEST_P(Values, MaxPoolPaddingNeverWins) {
  const Numbers x(9, -5);
  ExpectSame(Of({1, 1, 3, 3}, x, [](Expr e) { return MaxPool(e, Window(3, 2, 1)); }), Numbers(4, -5));
  ExpectSame(Of({1, 1, 1, 2}, {-kInf, -kInf}, [](Expr e) { return MaxPool(e, Window(2, 1, 1)); }), Numbers(6, -kInf));
}

TEST_P(Values, MaxPoolFirstMaximumWins) {
  // The values at the positions of x's maxima: x is one tie, so each window takes its top left.
  const Numbers y = Run({{"x", {Numbers(9, 1)}}, {"v", {{1, 2, 3, 4, 5, 6, 7, 8, 9}}}}, [](Graph* g) {
    Expr x = Input(g, "x", {1, 1, 3, 3}), v = Input(g, "v", {1, 1, 3, 3});
    return Expr(g, g->AddValue(Op::kMaxPool, {x.id(), v.id()}, Window(2, 1, 0).Pack()));
  });
  ExpectSame(y, {1, 2, 4, 5});
}

TEST_P(Values, MaxPoolOfNan) {
  const Numbers y = Of({1, 1, 2, 2}, {1, kNan, 3, 4}, [](Expr e) { return MaxPool(e, Window(2, 1, 0)); });
  ExpectSame(y, {kNan});
}

TEST_P(Values, IndicesOutsideTheTable) {
  const Feeds feeds = {{"t", {{1, 2, 3, 4}}}, {"i", {{1, -1, 2, 2147483647}, true}}};
  ExpectSame(Run(feeds,
                 [](Graph* g) {
                   return Gather(Input(g, "t", {2, 2}), IndexInput(g, "i", {4}));
                 }),
             {3, 4, kNan, kNan, kNan, kNan, kNan, kNan});
  const Feeds rows = {{"r", {{1, 2, 3, 4}}}, {"i", {{1, -1, 2, 1}, true}}};
  ExpectSame(Run(rows, [](Graph* g) { return ScatterAdd(Input(g, "r", {4}), IndexInput(g, "i", {4}), 2); }), {0, 5});
  const Feeds index = {{"t", {{5, 6}, true}}, {"i", {{1, 7}, true}}};
  ExpectSame(Run(index, [](Graph* g) { return Gather(IndexInput(g, "t", {2}), IndexInput(g, "i", {2})); }), {6, -1});
}

TEST_P(Values, LogSoftmaxOfLargeLogits) {
  const Numbers y = Of({1, 3}, {1e4, 0, -1e4}, [](Expr z) { return LogSoftmax(z); });
  ExpectClose(y, {0, -1e4, -2e4}, 1e-2, "log softmax");
  const Numbers p = Of({2, 2}, {1000, 1000, -1000, -1000}, [](Expr z) { return Softmax(z); });
  ExpectClose(p, {0.5, 0.5, 0.5, 0.5}, 1e-2, "softmax");
}

TEST_P(Values, L2NormalizeOfZeros) {
  ExpectSame(Of({2, 2}, {0, 0, 3, 4}, [](Expr x) { return Slice(L2Normalize(x, {1}), 0, 0, 1); }), {0, 0});
}

TEST_P(Values, IotaAndOneHot) {
  ExpectSame(Run({}, [](Graph* g) { return Iota(g, {2, 3}); }), {0, 1, 2, 0, 1, 2});
  // A label outside the classes gives a row of zeros.
  ExpectSame(Run({{"i", {{2, 0, -1}, true}}}, [](Graph* g) { return OneHot(IndexInput(g, "i", {3}), 3); }),
             {0, 0, 1, 1, 0, 0, 0, 0, 0});
}

// ---- Random numbers ----------------------------------------------------------------------------------------------

Feeds RandomFeeds(const Numbers& ids, double step = 3, double number = 0) {
  return {{"key", {{11, -7, step, number}, true}}, {"ids", {ids, true}}};
}
Expr Uniform(Graph* g, int slot, const Shape& shape) {
  return Random(IndexInput(g, "key", {4}), IndexInput(g, "ids", {shape[0]}), slot, shape);
}

// Element j of a row is word j % 4 at counter slot << 24 ^ j / 4 of the stream (seed, dropout, step, id).
TEST_P(Values, RandomIsItsDefinition) {
  const Numbers ids = {4, -1, 70000};
  const Numbers got = Run(RandomFeeds(ids), [](Graph* g) { return Uniform(g, 5, {3, 2, 3}); });
  const uint64_t seed = 11 | static_cast<uint64_t>(static_cast<uint32_t>(-7)) << 32;
  Numbers want;
  for (double id : ids) {
    for (uint32_t j = 0; j < 6; ++j) {
      const auto sample = static_cast<uint32_t>(static_cast<int32_t>(id));
      const auto w = RandomWords(seed, Purpose::kDropout, 3, sample, (5u << 24) ^ (j / 4));
      want.push_back(ToUnit(w[j % 4]));
    }
  }
  ExpectClose(got, want, options_.bf16 ? 1.0 / 256 : 0, "random");
}

TEST_P(Values, RandomRowsFollowTheSample) {
  auto rows = [](int slot) { return [slot](Graph* g) { return Uniform(g, slot, {2, 8}); }; };
  const Numbers a = Run(RandomFeeds({1, 2}), rows(0)), b = Run(RandomFeeds({2, 1}), rows(0));
  EXPECT_EQ(Numbers(a.begin(), a.begin() + 8), Numbers(b.begin() + 8, b.end()));
  EXPECT_EQ(Numbers(a.begin() + 8, a.end()), Numbers(b.begin(), b.begin() + 8));
  EXPECT_NE(a, Run(RandomFeeds({1, 2}), rows(1)));
  EXPECT_NE(a, Run(RandomFeeds({1, 2}, 4), rows(0)));
}

// The first network of a step draws from the method's stream, in other slots; further networks from their own.
TEST_P(Values, RandomNumbersOfNetworksOfAStepDiffer) {
  auto of = [&](double number) {
    return Run(RandomFeeds({1, 2}, 3, number), [](Graph* g) { return Uniform(g, 0, {2, 8}); });
  };
  EXPECT_EQ(of(0), of(1));
  EXPECT_NE(of(1), of(2));
  EXPECT_NE(of(2), of(3));
  EXPECT_NE(of(1), of(3));
}

TEST_P(Values, DropoutKeepsTheMean) {
  const double p = 0.3;
  const int64_t n = 64, width = 256;
  Numbers ids(n);
  for (int64_t i = 0; i < n; ++i) ids[i] = static_cast<double>(i * 37);
  Feeds feeds = RandomFeeds(ids);
  feeds["x"] = {Numbers(n * width, 1.0)};
  const Numbers y = Run(feeds, [&](Graph* g) {
    return Dropout(Input(g, "x", {n, width}), p, IndexInput(g, "key", {4}), IndexInput(g, "ids", {n}), 2);
  });
  double dropped = 0;
  for (double v : y) {
    if (v == 0)
      ++dropped;
    else
      EXPECT_NEAR(v, 1 / (1 - p), 0.01);
  }
  // 16384 draws: the standard deviation of the share is 0.0036.
  EXPECT_NEAR(dropped / static_cast<double>(n * width), p, 4 * 0.0036);
}

INSTANTIATE_TEST_SUITE_P(Ops, Values, testing::Range<size_t>(0, TestBackends().size() + 1), [](const auto& info) {
  return info.param == TestBackends().size() ? std::string("reference_f64") : TestBackends()[info.param].name;
});

}  // namespace
}  // namespace distil
