// Gradients beyond single ops (which tests/ops covers): paths, stops, zeros, ties, branches that must not
// divide by zero.
#include <gtest/gtest.h>

#include <cmath>

#include "lib/expr/nn.h"
#include "tests/ops/harness.h"

namespace distil {
namespace {

// d y / d x0, where build(g, x) makes the scalar y from an input x of this shape and these values.
template <class F>
std::vector<double> GradientAt(const Shape& shape, const std::vector<double>& at, F build) {
  Graph g;
  Expr x = Input(&g, "x", shape);
  Expr y = build(x);
  g.Output("d", Gradients(y, std::vector<Expr>{x})[0].id());
  EXPECT_TRUE(g.ok()) << g.error();
  return RunOnce(ReferenceF64(), g, {{"x", {at}}})["d"];
}

using Numbers = std::vector<double>;

TEST(Gradients, TwoPathsAdd) {
  // y = sum x^2 + 3x:  2x + 3
  EXPECT_EQ(GradientAt({3}, {1, -2, 0.5}, [](Expr x) { return SumAll(x * x + 3.0 * x); }), (Numbers{5, -1, 4}));
}

TEST(Gradients, ZeroWhereThereIsNoPath) {
  EXPECT_EQ(GradientAt({2, 2}, {1, 2, 3, 4}, [](Expr x) { return Constant(x.graph(), 2); }), (Numbers{0, 0, 0, 0}));
  EXPECT_EQ(GradientAt({2}, {1, 2}, [](Expr x) { return SumAll(Floor(x) + Sign(x) + Greater(x, 1.5)); }),
            (Numbers{0, 0}));
}

TEST(Gradients, OfTheLossItself) {
  Graph g;
  Expr x = Input(&g, "x", {1, 1});
  g.Output("d", Gradients(x, std::vector<Expr>{x})[0].id());
  EXPECT_EQ(RunOnce(ReferenceF64(), g, {{"x", {{7}}}})["d"], Numbers{1});
}

TEST(Gradients, ByAnIntermediateValue) {
  // y = sum (2x)^2 by z = 2x:  2z, not 4z
  Graph g;
  Expr x = Input(&g, "x", {2}), z = 2.0 * x;
  g.Output("d", Gradients(SumAll(z * z), std::vector<Expr>{z})[0].id());
  EXPECT_EQ(RunOnce(ReferenceF64(), g, {{"x", {{1, 3}}}})["d"], (Numbers{4, 12}));
}

TEST(Gradients, StopGradientCutsOnePath) {
  EXPECT_EQ(GradientAt({2}, {3, 4}, [](Expr x) { return SumAll(x * StopGradient(x)); }), (Numbers{3, 4}));
  EXPECT_EQ(GradientAt({2}, {3, 4}, [](Expr x) { return SumAll(StopGradient(x * x)); }), (Numbers{0, 0}));
}

TEST(Gradients, FrozenPartsCostNothing) {
  Graph g;
  Expr x = Input(&g, "x", {2, 3}), t = Input(&g, "t", {3, 3}), s = Input(&g, "s", {3, 3});
  Expr teacher = StopGradient(Tanh(MatMul(x, t))), student = MatMul(x, s);
  Expr loss = SumAll(Square(student - teacher));
  const size_t before = g.node_count();
  Gradients(loss, std::vector<Expr>{s});
  for (NodeId n = static_cast<NodeId>(before); n < g.node_count(); ++n)
    for (ValueId v : g.node(n).in) EXPECT_NE(v, t.id());
}

TEST(Gradients, ThirdDerivative) {
  // x^4: 4x^3, 12x^2, 24x
  auto third = [](Expr x) {
    Expr y = SumAll(x * x * x * x);
    for (int i = 0; i < 2; ++i) y = SumAll(Gradients(y, std::vector<Expr>{x})[0]);
    return y;
  };
  EXPECT_EQ(GradientAt({2}, {1, -2}, third), (Numbers{24, -48}));
}

TEST(Gradients, TiesShareTheMaximum) {
  EXPECT_EQ(GradientAt({4}, {1, 5, 5, 2}, [](Expr x) { return SumAll(MaxOf(x, {0})); }), (Numbers{0, 0.5, 0.5, 0}));
}

TEST(Gradients, MaxPoolTieGoesToTheFirst) {
  PoolAttrs a;
  a.kernel[0] = a.kernel[1] = 2;
  EXPECT_EQ(GradientAt({1, 1, 2, 2}, {3, 7, 7, 7}, [&](Expr x) { return SumAll(MaxPool(x, a)); }),
            (Numbers{0, 1, 0, 0}));
}

TEST(Gradients, KinksAsPyTorch) {
  EXPECT_EQ(GradientAt({3}, {-1, 0, 1}, [](Expr x) { return SumAll(Relu(x)); }), (Numbers{0, 0, 1}));
  EXPECT_EQ(GradientAt({4}, {0, 3, 6, 7}, [](Expr x) { return SumAll(Relu6(x)); }), (Numbers{0, 1, 0, 0}));
  EXPECT_EQ(GradientAt({3}, {-2, 0, 2}, [](Expr x) { return SumAll(Abs(x)); }), (Numbers{-1, 0, 1}));
  EXPECT_EQ(GradientAt({3}, {-2, 0, 2}, [](Expr x) { return SumAll(Pow(x, 2.0)); }), (Numbers{-4, 0, 4}));
}

TEST(Gradients, SelectIgnoresTheOtherBranch) {
  // The derivative of sqrt at 0 is infinite, and must not reach the chosen constant.
  auto safe = [](Expr x) { return SumAll(Select(Greater(x, 0.0), Sqrt(Select(Greater(x, 0.0), x, 1.0)), 0.0)); };
  EXPECT_EQ(GradientAt({2}, {0, 4}, safe), (Numbers{0, 0.25}));
}

TEST(Gradients, L2NormalizeIsFiniteAtZero) {
  const Numbers d = GradientAt({2, 2}, {0, 0, 3, 4}, [](Expr x) {
    return SumAll(L2Normalize(x, {1}) * Data(x.graph(), {1, 2}, {1, 0}));
  });
  for (double v : d) EXPECT_TRUE(std::isfinite(v));
  EXPECT_NEAR(d[2], (1 - 0.36) / 5, 1e-12);
  EXPECT_NEAR(d[3], -0.48 / 5, 1e-12);
}

TEST(Gradients, LogSoftmaxOfLargeLogits) {
  const Numbers d = GradientAt({1, 3}, {1e4, 0, -1e4}, [](Expr z) { return SumAll(Slice(LogSoftmax(z), 1, 1, 1)); });
  EXPECT_EQ(d, (Numbers{-1, 1, 0}));
}

TEST(Gradients, SoftplusOfLargeNumbers) {
  EXPECT_EQ(GradientAt({2}, {1e4, -1e4}, [](Expr x) { return SumAll(Softplus(x)); }), (Numbers{1, 0}));
}

TEST(Gradients, FusedGraphsAreRefused) {
  Graph g;
  Expr x = Input(&g, "x", {2});
  Expr y(&g, g.AddValue(Op::kReorder, {x.id()}));
  Gradients(SumAll(y), std::vector<Expr>{x});
  EXPECT_NE(g.error().find("after differentiation"), std::string::npos) << g.error();
}

TEST(Gradients, LowFollowsTheForwardValue) {
  Graph g;
  Expr x = Input(&g, "x", {2, 2}), w = Input(&g, "w", {2, 2});
  g.low_scope = true;
  Expr y = MatMul(x, w);
  g.low_scope = false;
  Expr d = Gradients(SumAll(Square(y)), std::vector<Expr>{w})[0];
  EXPECT_TRUE(g.value(d.id()).low);
  EXPECT_FALSE(g.low_scope);
}

}  // namespace
}  // namespace distil
