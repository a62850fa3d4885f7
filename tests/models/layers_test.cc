// Layers: what batch norm keeps, values that stand in for variables, shared and clashing names.
#include "lib/expr/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/harness.h"

namespace distil {
namespace {

class LayersTest : public testing::Test {
 protected:
  Graph g;
  VariableSet set{[](Variable* v, const Init& init) { return AllocateVariable(ReferenceF64(), 1, init, v); }};

  double Value(const std::string& name) { return ValuesOf(ReferenceF64(), set.Find(name)).at(0); }
  void Write(const std::string& name, double value) {
    ASSERT_TRUE(WriteVariable(ReferenceF64(), std::span<const double>(&value, 1), set.Find(name).get()).ok());
  }
  std::vector<double> Run(Expr y, const std::vector<double>& x) {
    EXPECT_EQ(g.error(), "");
    g.Output("y", y.id());
    return RunOnce(ReferenceF64(), g, {{"x", {x}}})["y"];
  }
};

// The batch 1, 3 has mean 2, biased variance 1 and unbiased variance 2.

TEST_F(LayersTest, BatchNormKeepsRunningStatisticsAsPyTorchDoes) {
  Layers l(&g, &set, {.train = true});
  std::vector<double> y = Run(l.BatchNorm("bn", Input(&g, "x", {2, 1})), {1, 3});
  EXPECT_NEAR(y[1], 1 / std::sqrt(1 + 1e-5), 1e-12);
  EXPECT_NEAR(Value("bn.running_mean"), 0.1 * 2, 1e-12);
  EXPECT_NEAR(Value("bn.running_var"), 0.9 * 1 + 0.1 * 2, 1e-12);
  EXPECT_EQ(Value("bn.num_batches_tracked"), 1);
}

TEST_F(LayersTest, TwoForwardsUpdateTwice) {
  Layers l(&g, &set, {.train = true});
  Expr x = Input(&g, "x", {2, 1});
  Expr first = l.BatchNorm("bn", x), second = l.BatchNorm("bn", x * 2);
  Run(first + second, {1, 3});
  EXPECT_NEAR(Value("bn.running_mean"), 0.9 * 0.2 + 0.1 * 4, 1e-12);
  EXPECT_EQ(Value("bn.num_batches_tracked"), 2);
}

TEST_F(LayersTest, StatisticsCanBeLeftAlone) {
  Layers l(&g, &set, {.train = true, .update_statistics = false});
  std::vector<double> y = Run(l.BatchNorm("bn", Input(&g, "x", {2, 1})), {1, 3});
  EXPECT_NEAR(y[1], 1 / std::sqrt(1 + 1e-5), 1e-12);
  EXPECT_TRUE(g.assigns().empty());
  EXPECT_EQ(Value("bn.running_mean"), 0);
}

TEST_F(LayersTest, EvaluationUsesRunningStatistics) {
  Layers l(&g, &set, {});
  Expr y = l.BatchNorm("bn", Input(&g, "x", {2, 1}));
  Write("bn.running_mean", 1);
  Write("bn.running_var", 4);
  Write("bn.weight", 3);
  Write("bn.bias", 5);
  EXPECT_NEAR(Run(y, {1, 3})[1], 5 + 3 * (3 - 1) / std::sqrt(4 + 1e-5), 1e-12);
}

TEST_F(LayersTest, ValuesStandIn) {
  // One step ahead: w' = w - 0.1 d(w x)/dw, and the result can be differentiated by w.
  Layers l(&g, &set, {});
  Expr x = Input(&g, "x", {1, 1});
  Expr now = l.Linear("fc", x, 1, {.bias = false});
  VariableRef w = set.Find("fc.weight");
  Write("fc.weight", 2);
  std::vector<Expr> wrt = {Read(&g, w)};
  Expr ahead = Read(&g, w) - 0.1 * Gradients(SumAll(now * now), wrt)[0];  // w (1 - 0.2 x^2)
  Layers then(&g, &set, {.with = {{w, ahead}}});
  Expr y = then.Linear("fc", x, 1, {.bias = false});
  Expr dy = Gradients(SumAll(y), wrt)[0];
  EXPECT_EQ(set.all().size(), 1u);
  std::vector<double> v = Run(Concat({y, dy}, 0), {3});
  EXPECT_NEAR(v[0], 2 * (1 - 0.2 * 9) * 3, 1e-12);
  EXPECT_NEAR(v[1], (1 - 0.2 * 9) * 3, 1e-12);
}

TEST_F(LayersTest, NamesAreSharedAndMustFit) {
  Layers l(&g, &set, {}), block = l.Scope("layer1").Scope("0");
  Expr x = Input(&g, "x", {1, 3, 4, 4});
  Expr once = block.Conv("conv1", x, 8, 3), again = block.Conv("conv1", x, 8, 3);
  EXPECT_EQ(once.id(), again.id());
  ASSERT_EQ(set.all().size(), 1u);
  EXPECT_EQ(set.all()[0]->name, "layer1.0.conv1.weight");
  EXPECT_EQ(l.used(), set.all());
  block.Conv("conv1", x, 9, 3);
  EXPECT_EQ(g.error(), "layer1.0.conv1.weight has shape [8,3,3,3], asked for as [9,3,3,3]");
}

TEST_F(LayersTest, DropoutIsForTraining) {
  Layers l(&g, &set, {});
  Expr x = Input(&g, "x", {2, 3});
  EXPECT_EQ(l.Dropout(x, 0.5).id(), x.id());
}

}  // namespace
}  // namespace distil
