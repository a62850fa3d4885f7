// Each method: a value computed by hand, and what it does not depend on. (PyTorch's numbers: golden_test.cc.)
#include <gtest/gtest.h>

#include <cmath>

#include "tests/losses/lab.h"

namespace distil {
namespace {

constexpr double kEps = 1e-12;

std::vector<double> Numbers(int n, uint64_t seed) {
  Rng rng(seed);
  std::vector<double> v(n);
  for (double& x : v) x = rng.Uniform(-1, 1);
  return v;
}

// The term of two maps of the last stage.
double OfMaps(const char* method, const Shape& t, const std::vector<double>& in_t, const Shape& s,
              const std::vector<double>& in_s, const std::map<std::string, std::string>& options = {}) {
  Lab lab;
  Expr f_t = lab.Given("f_t", t, in_t), f_s = lab.Given("f_s", s, in_s);
  return lab.Value(lab.Term(method, options, Maps({f_t}), Maps({f_s})));
}

double OfLogits(const Shape& shape, const std::vector<double>& t, const std::vector<double>& s, const std::string& T) {
  Lab lab;
  Expr z_t = lab.Given("t", shape, t), z_s = lab.Given("s", shape, s);
  return lab.Value(lab.Term("kd", {{"T", T}}, Logits(z_t), Logits(z_s)));
}

// ---- CE ----------------------------------------------------------------------------------------------------

TEST(Ce, HandComputed) {
  Lab lab;
  Expr z = lab.Given("z", {1, 2}, {std::log(3), 0});
  lab.Labels({0});
  EXPECT_NEAR(lab.Value(lab.Term("ce", {}, {}, Logits(z))), std::log(4.0 / 3), kEps);
}

TEST(Ce, AllEqualLogitsGiveLogK) {
  Lab lab;
  Expr z = lab.Given("z", {3, 7}, std::vector<double>(21, 5.0));
  lab.Labels({0, 3, 6});
  EXPECT_NEAR(lab.Value(lab.Term("ce", {{"smoothing", "0.3"}}, {}, Logits(z))), std::log(7), kEps);
}

// ---- KD ----------------------------------------------------------------------------------------------------

TEST(Kd, HandComputed) {
  // T^2 KL at T = 2 of logits (4,0) and (0,0) is 4 (log 2 - H(sigmoid 2)).
  EXPECT_NEAR(OfLogits({1, 2}, {4, 0}, {0, 0}, "2"), 4 * 0.32781, 1e-4);
}

TEST(Kd, ZeroWhenEqualAndBlindToAConstant) {
  std::vector<double> z = Numbers(12, 1), shifted = z;
  for (double& v : shifted) v += 3;
  EXPECT_NEAR(OfLogits({3, 4}, z, z, "4"), 0, kEps);
  EXPECT_NEAR(OfLogits({3, 4}, z, shifted, "4"), 0, kEps);
  EXPECT_GT(OfLogits({3, 4}, z, Numbers(12, 2), "4"), 0);
}

TEST(Kd, ScalingLogitsAndTemperature) {
  // T^2 KL_T(a t, a s) at T = a T0 equals a^2 times the value at T0.
  std::vector<double> t = Numbers(12, 1), s = Numbers(12, 2), t3 = t, s3 = s;
  for (double& v : t3) v *= 3;
  for (double& v : s3) v *= 3;
  EXPECT_NEAR(OfLogits({3, 4}, t3, s3, "6"), 9 * OfLogits({3, 4}, t, s, "2"), 1e-10);
}

TEST(Kd, ClassesMustAgree) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2}, {0, 0}), b = lab.Given("b", {1, 3}, {0, 0, 0});
  EXPECT_EQ(Lab::Check("kd", {}, Logits(a), Logits(b)), "the teacher has 2 classes and the student 3");
}

// ---- FitNet ------------------------------------------------------------------------------------------------

TEST(Fitnet, HandComputed) {
  // Values (1,3) times any positive weight become (-1,1) / sqrt(1 + eps / w^2), then (0,1): half of 1 against 0.
  Lab lab;
  Expr f_t = lab.Given("f_t", {2, 1, 1, 1}, {0, 0}), f_s = lab.Given("f_s", {2, 1, 1, 1}, {1, 3});
  Expr term = lab.Term("fitnet", {{"stage", "1"}}, Maps({f_t}), Maps({f_s}));
  const double w[] = {2};
  ASSERT_TRUE(WriteVariable(ReferenceF64(), w, lab.aux.Find("conv.weight").get()).ok());
  EXPECT_NEAR(lab.Value(term), 0.5 / (1 + 1e-5 / 4), kEps);
}

TEST(Fitnet, ZeroWhenTheHintIsReached) {
  Lab lab;
  Expr f_t = lab.Given("f_t", {2, 1, 1, 1}, {0, 1 / std::sqrt(1 + 1e-5)});
  Expr f_s = lab.Given("f_s", {2, 1, 1, 1}, {1, 3});
  Expr term = lab.Term("fitnet", {{"stage", "1"}}, Maps({f_t}), Maps({f_s}));
  const double w[] = {1};
  ASSERT_TRUE(WriteVariable(ReferenceF64(), w, lab.aux.Find("conv.weight").get()).ok());
  EXPECT_NEAR(lab.Value(term), 0, kEps);
}

TEST(Fitnet, ComparesTheStageThatWasAskedFor) {
  Lab lab;
  Expr one = lab.Given("one", {2, 1, 1, 1}, {1, 3}), two = lab.Given("two", {2, 4, 2, 2}, Numbers(32, 1));
  lab.Term("fitnet", {}, Maps({one, two}), Maps({one, two}));
  EXPECT_EQ(lab.aux.Find("conv.weight")->shape, (Shape{4, 4, 1, 1}));  // stage 2
}

TEST(Fitnet, NetworksMustFit) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2, 4, 4}, Numbers(32, 1)), b = lab.Given("b", {1, 2, 7, 7}, Numbers(98, 2));
  EXPECT_EQ(Lab::Check("fitnet", {}, Maps({a}), Maps({a, a})), "the teacher has no stage 2");
  EXPECT_EQ(Lab::Check("fitnet", {}, Maps({a, a}), Maps({a})), "the student has no stage 2");
  EXPECT_NE(Lab::Check("fitnet", {}, Maps({a, b}), Maps({a, a})), "");
  EXPECT_EQ(Lab::Check("fitnet", {}, Maps({a, a}), Maps({b, b})), "");
}

// ---- AT ----------------------------------------------------------------------------------------------------

TEST(At, HandComputed) {
  // q_t = (0,1), q_s = (1,0): mean of (1,1) is 1; half of the norm is sqrt(2)/2.
  const Shape s = {1, 1, 1, 2};
  EXPECT_NEAR(OfMaps("at", s, {0, 1}, s, {1, 0}), 1, kEps);
  EXPECT_NEAR(OfMaps("at", s, {0, 1}, s, {1, 0}, {{"form", "paper"}}), std::sqrt(0.5), kEps);
  // (3,-4) to the fourth power is (81,256).
  const double n = std::sqrt(81.0 * 81 + 256 * 256), a = 81 / n, b = 256 / n - 1;
  EXPECT_NEAR(OfMaps("at", s, {0, 1}, s, {3, -4}, {{"p", "4"}}), (a * a + b * b) / 2, kEps);
}

TEST(At, SumsStages) {
  Lab lab;
  Expr t = lab.Given("t", {1, 1, 1, 2}, {0, 1}), s = lab.Given("s", {1, 1, 1, 2}, {1, 0});
  EXPECT_NEAR(lab.Value(lab.Term("at", {}, Maps({t, t, t}), Maps({s, t, s}))), 2, kEps);
}

TEST(At, ZeroWhenEqualAndSymmetric) {
  const Shape shape = {3, 4, 2, 3};
  std::vector<double> x = Numbers(72, 1), y = Numbers(72, 2);
  for (const char* form : {"code", "paper"}) {
    EXPECT_NEAR(OfMaps("at", shape, x, shape, x, {{"form", form}}), 0, kEps);
    EXPECT_NEAR(OfMaps("at", shape, x, shape, y, {{"form", form}}), OfMaps("at", shape, y, shape, x, {{"form", form}}),
                kEps);
  }
}

TEST(At, BlindToScaleAndToDoubledChannels) {
  std::vector<double> x = Numbers(24, 1), y = Numbers(24, 2), scaled = y, doubled;
  for (double& v : scaled) v *= -7;
  for (int n = 0; n < 2; ++n)  // [2,2,2,3] as [2,4,2,3]
    for (int twice = 0; twice < 2; ++twice) doubled.insert(doubled.end(), y.begin() + 12 * n, y.begin() + 12 * n + 12);
  const Shape shape = {2, 2, 2, 3};
  const double value = OfMaps("at", shape, x, shape, y);
  EXPECT_GT(value, 1e-3);
  EXPECT_NEAR(OfMaps("at", shape, x, shape, scaled), value, kEps);
  EXPECT_NEAR(OfMaps("at", shape, x, {2, 4, 2, 3}, doubled), value, kEps);
}

TEST(At, AllZeroMapsAreHarmless) {
  Lab lab;
  Expr t = lab.Given("t", {1, 1, 1, 2}, {0, 1}), s = lab.Given("s", {1, 1, 1, 2}, {0, 0});
  std::vector<Expr> wrt = {s};
  for (const char* form : {"code", "paper"}) {
    Expr term = lab.Term("at", {{"form", form}}, Maps({t}), Maps({s}));
    for (double g : lab.Numbers(Gradients(term, wrt)[0])) EXPECT_EQ(g, 0) << form;
  }
}

TEST(At, StagesMustPairUp) {
  Lab lab;
  Expr t = lab.Given("t", {1, 1, 1, 2}, {0, 1}), s = lab.Given("s", {1, 1, 1, 2}, {1, 0});
  EXPECT_EQ(Lab::Check("at", {}, Maps({t, t, t}), Maps({s, s})),
            "the teacher has 3 stages and the student 2; at.pairs=common compares those that both have");
  EXPECT_NEAR(lab.Value(lab.Term("at", {{"pairs", "common"}}, Maps({t, t, t}), Maps({s, t}))), 1, kEps);
}

// ---- VID ---------------------------------------------------------------------------------------------------

TEST(Vid, HandComputed) {
  // Variance 5 everywhere; a mean that is right costs 1/2 log 5, one that is off by 2 4/10 more.
  auto value = [](double f_t) {
    Lab lab;
    Expr t = lab.Given("t", {1, 1, 1, 1}, {f_t}), s = lab.Given("s", {1, 1, 1, 1}, {3});
    Expr term = lab.Term("vid", {}, Maps({t}), Maps({s}));
    for (const char* conv : {"stage1.conv1.weight", "stage1.conv2.weight", "stage1.conv3.weight"}) {
      const double one[] = {1};
      EXPECT_TRUE(WriteVariable(ReferenceF64(), one, lab.aux.Find(conv).get()).ok());
    }
    return lab.Value(term);
  };
  EXPECT_NEAR(value(3), 0.5 * std::log(5), kEps);
  EXPECT_NEAR(value(5), 0.5 * std::log(5) + 0.4, kEps);
}

TEST(Vid, NetworksMustFit) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2, 4, 4}, Numbers(32, 1)), b = lab.Given("b", {1, 2, 3, 3}, Numbers(18, 2));
  EXPECT_EQ(Lab::Check("vid", {}, Maps({a, a}), Maps({a})),
            "the teacher has 2 stages and the student 1; vid.pairs=common compares those that both have");
  EXPECT_EQ(Lab::Check("vid", {{"pairs", "common"}}, Maps({a, a}), Maps({a})), "");
  EXPECT_EQ(Lab::Check("vid", {}, Maps({a, a}), Maps({a, b})),
            "stage 2: maps [1,2,4,4] and [1,2,3,3] cannot be averaged to one size: the sides of one must be whole "
            "multiples of the other's");
  EXPECT_EQ(Lab::Check("vid", {}, Features(), Maps({a})), "the teacher has no stages to compare");
}

// ---- SP ----------------------------------------------------------------------------------------------------

TEST(Sp, HandComputed) {
  // F_s = I gives G = I. Equal rows in F_t give G = 1/sqrt2 everywhere.
  // L_SP = (2 (1 - 1/sqrt2)^2 + 2 (1/2)) / 4 = 1 - 1/sqrt2.
  EXPECT_NEAR(OfMaps("sp", {2, 2, 1, 1}, {1, 0, 1, 0}, {2, 2, 1, 1}, {1, 0, 0, 1}), 1 - std::sqrt(0.5), kEps);
}

TEST(Sp, ZeroWhenEqualAndSymmetric) {
  const Shape a = {4, 3, 2, 2}, b = {4, 5, 1, 1};
  std::vector<double> x = Numbers(48, 1), y = Numbers(20, 2);
  EXPECT_NEAR(OfMaps("sp", a, x, a, x), 0, kEps);
  EXPECT_NEAR(OfMaps("sp", a, x, b, y), OfMaps("sp", b, y, a, x), kEps);
}

TEST(Sp, BlindToRotationAndScale) {
  std::vector<double> x = Numbers(8, 1), y = Numbers(8, 2), turned = y;
  for (int i = 0; i < 4; ++i) {
    turned[2 * i] = 3 * (0.6 * y[2 * i] - 0.8 * y[2 * i + 1]);
    turned[2 * i + 1] = 3 * (0.8 * y[2 * i] + 0.6 * y[2 * i + 1]);
  }
  const Shape shape = {4, 2, 1, 1};
  EXPECT_NEAR(OfMaps("sp", shape, x, shape, turned), OfMaps("sp", shape, x, shape, y), kEps);
}

}  // namespace
}  // namespace distil
