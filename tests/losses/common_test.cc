// The formulas that methods share, by hand.
#include "losses/common.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/losses/lab.h"

namespace distil {
namespace {

constexpr double kEps = 1e-12;

void ExpectNumbers(const std::vector<double>& got, const std::vector<double>& want, double eps = kEps) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], eps) << i;
}

TEST(CrossEntropy, HandComputed) {
  // softmax(log 3, 0) = (3/4, 1/4). With eps = 0.2 and two classes the target of class 0 is (0.9, 0.1).
  Lab lab;
  Expr z = lab.Given("z", {2, 2}, {std::log(3), 0, 1000, 1000}), y = lab.Labels({0, 1});
  auto v = lab.Numbers({CrossEntropy(z, y), CrossEntropy(z, y, 0.2)});
  EXPECT_NEAR(v[0][0], (std::log(4.0 / 3) + std::log(2)) / 2, kEps);
  EXPECT_NEAR(v[1][0], (0.9 * std::log(4.0 / 3) + 0.1 * std::log(4) + std::log(2)) / 2, kEps);
}

TEST(CrossEntropy, GradientIsSoftmaxMinusTarget) {
  Lab lab;
  Expr z = lab.Given("z", {1, 2}, {std::log(3), 0}), y = lab.Labels({0});
  std::vector<Expr> wrt = {z};
  ExpectNumbers(lab.Numbers(Gradients(CrossEntropy(z, y, 0.2), wrt)[0]), {0.75 - 0.9, 0.25 - 0.1});
}

TEST(Kl, HandComputed) {
  // log 2 - H(sigmoid(2)), and its gradient softmax(s) - softmax(t).
  Lab lab;
  Expr t = lab.Given("t", {1, 2}, {2, 0}), s = lab.Given("s", {1, 2}, {0, 0});
  const double p = 1 / (1 + std::exp(-2.0));
  const double value = std::log(2) + p * std::log(p) + (1 - p) * std::log(1 - p);
  Expr kl = Kl(t, s, 1);
  std::vector<Expr> wrt = {s};
  auto v = lab.Numbers({kl, Gradients(kl, wrt)[0]});
  EXPECT_NEAR(v[0][0], value, kEps);
  EXPECT_NEAR(v[0][0], 0.3278, 1e-4);
  ExpectNumbers(v[1], {0.5 - p, p - 0.5});
}

TEST(Kl, MeanOverSamplesSumOverClasses) {
  Lab lab;
  Expr t = lab.Given("t", {2, 3}, {2, 0, 1, 0, 0, 0}), s = lab.Given("s", {2, 3}, {0, 0, 0, 0, 0, 0});
  auto v = lab.Numbers({KlPerSample(t, s, 2), Kl(t, s, 2)});
  ASSERT_EQ(v[0].size(), 2u);
  EXPECT_NEAR(v[0][1], 0, kEps);
  EXPECT_NEAR(v[1][0], v[0][0] / 2, kEps);
}

TEST(Kl, ClassesWithoutProbabilityContributeNothing) {
  Lab lab;  // exp(-2000) is 0
  Expr t = lab.Given("t", {1, 2}, {2000, 0}), s = lab.Given("s", {1, 2}, {0, 2000});
  EXPECT_NEAR(lab.Value(Kl(t, s, 1)), 2000, 1e-9);
}

TEST(MeanSquare, HandComputed) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2, 1, 2}, {1, 2, 3, 4}), b = lab.Given("b", {1, 2, 1, 2}, {1, 0, 3, 0});
  EXPECT_NEAR(lab.Value(MeanSquare(a, b)), (4.0 + 16) / 4, kEps);
}

TEST(SmoothL1, HandComputed) {
  Lab lab;
  Expr e = lab.Given("e", {5}, {-3, -0.5, 0, 0.5, 1});
  std::vector<Expr> wrt = {e};
  auto v = lab.Numbers({SmoothL1(e), Gradients(SumAll(SmoothL1(e)), wrt)[0]});
  ExpectNumbers(v[0], {2.5, 0.125, 0, 0.125, 0.5});
  ExpectNumbers(v[1], {-1, -0.5, 0, 0.5, 1});
}

TEST(SafeSqrt, HasNoInfiniteSlope) {
  Lab lab;
  Expr x = lab.Given("x", {2}, {0, 9});
  std::vector<Expr> wrt = {x};
  auto v = lab.Numbers({SafeSqrt(x), Gradients(SumAll(SafeSqrt(x)), wrt)[0]});
  ExpectNumbers(v[0], {0, 3});
  ExpectNumbers(v[1], {0, 1.0 / 6});
}

TEST(Gram, HandComputed) {
  Lab lab;
  ExpectNumbers(lab.Numbers(Gram(lab.Given("x", {2, 2}, {1, 2, 3, 4}))), {5, 11, 11, 25});
}

TEST(PairwiseDistance, HandComputed) {
  // Rows 0 and 2 are equal: 0, not NaN, in value and gradient. d_01 = 5.
  Lab lab;
  Expr x = lab.Given("x", {3, 2}, {0, 0, 3, 4, 0, 0});
  Expr d = PairwiseDistance(x);
  std::vector<Expr> wrt = {x};
  auto v = lab.Numbers({d, Gradients(SumAll(d), wrt)[0]});
  ExpectNumbers(v[0], {0, 5, 0, 5, 0, 5, 0, 5, 0});
  ExpectNumbers(v[1], {-1.2, -1.6, 2.4, 3.2, -1.2, -1.6});
}

TEST(PoolToSmaller, EachSideAlone) {
  Lab lab;
  Expr f = lab.Given("f", {1, 1, 2, 2}, {1, 2, 3, 4}), g = lab.Given("g", {1, 1, 1, 4}, {1, 3, 5, 7});
  PoolToSmaller(&f, &g);
  auto v = lab.Numbers({f, g});
  ExpectNumbers(v[0], {2, 3});
  ExpectNumbers(v[1], {2, 6});
  Expr same = f;
  PoolToSmaller(&f, &g);
  EXPECT_EQ(f.id(), same.id());
}

TEST(Regress, FollowsTheSizes) {
  struct Case {
    Shape f, target, weight;
  };
  const Case cases[] = {
      {{2, 3, 4, 4}, {2, 5, 4, 4}, {5, 3, 1, 1}},
      {{2, 3, 8, 8}, {2, 5, 4, 4}, {5, 3, 3, 3}},
      {{2, 3, 4, 4}, {2, 5, 8, 8}, {3, 5, 4, 4}},  // transposed: input channels first
      {{2, 3, 7, 6}, {2, 5, 5, 4}, {5, 3, 3, 3}},
  };
  for (const Case& c : cases) {
    Lab lab;
    Layers l(&lab.graph, &lab.aux, {.train = true});
    EXPECT_EQ(Regress(l, Input(&lab.graph, "f", c.f), c.target).shape(), c.target);
    EXPECT_EQ(lab.aux.Find("conv.weight")->shape, c.weight);
    EXPECT_NE(lab.aux.Find("conv.bias"), nullptr);
    EXPECT_NE(lab.aux.Find("bn.running_var"), nullptr);
    EXPECT_EQ(CannotRegress(c.f, c.target), "");
  }
  const std::string why = CannotRegress({2, 3, 4, 4}, {2, 5, 7, 7});
  EXPECT_EQ(why,
            "a map [2,3,4,4] cannot be brought to the size of [2,5,7,7]: its sides must be twice, half, or "
            "equally many pixels more than the other's");
  Lab lab;
  Layers l(&lab.graph, &lab.aux, {});
  EXPECT_FALSE(Regress(l, Input(&lab.graph, "f", {2, 3, 4, 4}), {2, 5, 7, 7}).valid());
  EXPECT_EQ(lab.graph.error(), why);
}

}  // namespace
}  // namespace distil
