// The companions of the CRD benchmark, and decoupled and normalised KD: values by hand, what they do not depend on, and
// what they refuse.
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

using Options = std::map<std::string, std::string>;

double OfPooled(const char* method, const Shape& t, const std::vector<double>& x_t, const Shape& s,
                const std::vector<double>& x_s, const Options& options = {}) {
  Lab lab;
  Expr in_t = lab.Given("x_t", t, x_t), in_s = lab.Given("x_s", s, x_s);
  return lab.Value(lab.Term(method, options, Pooled(in_t), Pooled(in_s)));
}

double OfMaps(const char* method, const Shape& t, const std::vector<double>& f_t, const Shape& s,
              const std::vector<double>& f_s, const Options& options = {}) {
  Lab lab;
  Expr in_t = lab.Given("f_t", t, f_t), in_s = lab.Given("f_s", s, f_s);
  return lab.Value(lab.Term(method, options, Maps({in_t}), Maps({in_s})));
}

double OfLogits(const char* method, const Shape& shape, const std::vector<double>& t, const std::vector<double>& s,
                const Options& options = {}) {
  Lab lab;
  lab.Labels(std::vector<double>(static_cast<size_t>(shape[0]), 0));
  lab.Given("epoch", {}, {9});
  Expr z_t = lab.Given("t", shape, t), z_s = lab.Given("s", shape, s);
  return lab.Value(lab.Term(method, options, Logits(z_t), Logits(z_s)));
}

// Rows turned by an angle and multiplied by `scale`, then moved by `shift`.
std::vector<double> Moved(std::vector<double> x, double scale, double shift) {
  for (size_t i = 0; i < x.size(); i += 2) {
    const double a = x[i], b = x[i + 1];
    x[i] = scale * (0.6 * a - 0.8 * b) + shift;
    x[i + 1] = scale * (0.8 * a + 0.6 * b) + shift;
  }
  return x;
}

// ---- RKD ---------------------------------------------------------------------------------------------------

TEST(Rkd, HandComputed) {
  // Teacher: points 0, 1, 3 on a line; distances over their mean 2 are 1/2, 3/2, 1. Student: 0, 2, 3 gives 1, 3/2, 1/2.
  // Two pairs, four entries of nine, differ by 1/2: 4 (1/8) / 9.
  const std::vector<double> t = {0, 1, 3}, s = {0, 2, 3};
  EXPECT_NEAR(OfPooled("rkd", {3, 1}, t, {3, 1}, s, {{"angle", "0"}, {"distance", "1"}}), 0.5 / 9, kEps);
  EXPECT_NEAR(OfPooled("rkd", {3, 1}, t, {3, 1}, s, {{"distance", "0"}}), 0, kEps);  // angles on a line agree
  // A right angle at the first point and 45 degrees at the others, against the line: cosines 0, 1/sqrt2 and 1/sqrt2
  // become 1, -1 and 1; each is there twice among 27 entries.
  const double a = std::sqrt(0.5), angle = 2 * (0.5 + (1 + a - 0.5) + (1 - a) * (1 - a) / 2) / 27;
  EXPECT_NEAR(OfPooled("rkd", {3, 2}, {0, 0, 1, 0, 0, 1}, {3, 1}, t, {{"distance", "0"}, {"angle", "1"}}), angle, kEps);
}

TEST(Rkd, BlindToRotationScaleAndOrigin) {
  const std::vector<double> t = Numbers(8, 1), s = Numbers(8, 2);
  const double value = OfPooled("rkd", {4, 2}, t, {4, 2}, s);
  EXPECT_GT(value, 0.1);
  EXPECT_NEAR(OfPooled("rkd", {4, 2}, t, {4, 2}, Moved(s, 3, 5)), value, 1e-10);
  EXPECT_NEAR(OfPooled("rkd", {4, 2}, t, {4, 2}, Moved(t, 3, 5)), 0, 1e-10);
}

TEST(Rkd, EqualSamplesAreHarmless) {
  for (const std::vector<double>& x : {std::vector<double>{1, 2, 1, 2, 0, 3}, std::vector<double>(6, 1.0)}) {
    Lab lab;
    Expr t = lab.Given("t", {3, 2}, Numbers(6, 1)), s = lab.Given("s", {3, 2}, x);
    Expr term = lab.Term("rkd", {}, Pooled(t), Pooled(s));
    std::vector<Expr> wrt = {s};
    for (double v : lab.Numbers(Gradients(term, wrt)[0])) EXPECT_TRUE(std::isfinite(v));
    EXPECT_TRUE(std::isfinite(lab.Value(term)));
  }
}

// ---- PKT ---------------------------------------------------------------------------------------------------

TEST(Pkt, HandComputed) {
  // Orthogonal vectors: rows (1, 1/2) / (3/2). Equal ones: rows (1/2, 1/2).
  const double value = (4.0 / 3 * std::log(4.0 / 3) + 2.0 / 3 * std::log(2.0 / 3)) / 4;
  EXPECT_NEAR(OfPooled("pkt", {2, 2}, {1, 0, 0, 1}, {2, 2}, {1, 0, 1, 0}), value, 1e-6);
}

TEST(Pkt, BlindToRotationAndToTheScaleOfEachSample) {
  const std::vector<double> t = Numbers(8, 1), s = Numbers(8, 2);
  std::vector<double> scaled = Moved(s, 1, 0);
  for (size_t i = 0; i < 8; ++i) scaled[i] *= 1 + static_cast<double>(i / 2);
  // 1e-3: the 1e-7 beside probabilities near zero
  EXPECT_NEAR(OfPooled("pkt", {4, 2}, t, {4, 2}, scaled), OfPooled("pkt", {4, 2}, t, {4, 2}, s), 1e-3);
  EXPECT_NEAR(OfPooled("pkt", {4, 2}, t, {4, 2}, t), 0, kEps);
}

// ---- CC ----------------------------------------------------------------------------------------------------

double OfEmbeddings(const std::vector<double>& t, const std::vector<double>& s, const char* form) {
  Lab lab;
  const auto n = static_cast<int64_t>(t.size());
  Expr x_t = lab.Given("x_t", {n, 1}, t), x_s = lab.Given("x_s", {n, 1}, s);
  Expr term = lab.Term("cc", {{"width", "1"}, {"form", form}}, Pooled(x_t), Pooled(x_s));
  const double one[] = {1}, zero[] = {0};
  if (n > 1) {
    for (const char* side : {"embed_t", "embed_s"}) {
      EXPECT_TRUE(WriteVariable(ReferenceF64(), one, lab.aux.Find(side + std::string(".weight")).get()).ok());
      EXPECT_TRUE(WriteVariable(ReferenceF64(), zero, lab.aux.Find(side + std::string(".bias")).get()).ok());
    }
  }
  return lab.Value(term);
}

TEST(Cc, HandComputed) {
  // Differences 1, 2, 3: (1*2 + 2*3) / 2.
  EXPECT_NEAR(OfEmbeddings({1, 2, 3}, {2, 0, 6}, "code"), 4, kEps);
  EXPECT_NEAR(OfEmbeddings({1}, {2}, "code"), 0, kEps);
  // Unit vectors of one number are signs: the kernel differs where signs of pairs do, by 4 gamma exp(-2 gamma).
  const double d = 4 * 0.4 * std::exp(-0.8);
  EXPECT_NEAR(OfEmbeddings({1, 2}, {1, -3}, "paper"), d * d / 2, kEps);
  EXPECT_NEAR(OfEmbeddings({1, 2}, {5, 7}, "paper"), 0, kEps);
}

// ---- NST ---------------------------------------------------------------------------------------------------

TEST(Nst, HandComputed) {
  // One channel each, orthogonal: 1 + 1 - 0. With the student's channels (1,0) and (0,1): 1 + 1/2 - 2 / 2.
  EXPECT_NEAR(OfMaps("nst", {1, 1, 1, 2}, {0, 2}, {1, 1, 1, 2}, {3, 0}), 2, kEps);
  EXPECT_NEAR(OfMaps("nst", {1, 1, 1, 2}, {0, 2}, {1, 2, 1, 2}, {3, 0, 0, 1}), 0.5, kEps);
}

TEST(Nst, BlindToScaleAndOrderOfChannels) {
  const std::vector<double> x = Numbers(12, 1), y = Numbers(12, 2);
  std::vector<double> other = y;
  for (size_t i = 0; i < 6; ++i) other[i] = 2 * y[i + 6], other[i + 6] = 3 * y[i];
  const Shape shape = {1, 2, 2, 3};
  EXPECT_NEAR(OfMaps("nst", shape, x, shape, other), OfMaps("nst", shape, x, shape, y), kEps);
  EXPECT_NEAR(OfMaps("nst", shape, x, shape, x), 0, kEps);
}

// ---- AB ----------------------------------------------------------------------------------------------------

double OfBoundaries(double t, double s) {
  return OfMaps("ab", {1, 1, 1, 1}, {t}, {1, 1, 1, 1}, {s}, {{"weight", "1"}}) * 1000 / 3;
}

TEST(Ab, HandComputed) {
  EXPECT_NEAR(OfBoundaries(2, 1), 0, kEps);
  EXPECT_NEAR(OfBoundaries(2, 0), 1, kEps);
  EXPECT_NEAR(OfBoundaries(2, 3), 0, kEps);
  EXPECT_NEAR(OfBoundaries(2, -1), 4, kEps);
  EXPECT_NEAR(OfBoundaries(-2, -1), 0, kEps);
  EXPECT_NEAR(OfBoundaries(-2, 0), 1, kEps);
  EXPECT_NEAR(OfBoundaries(0, 1), 4, kEps);  // zero is not active
}

TEST(Ab, StagesMustFit) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2, 4, 4}, Numbers(32, 1)), b = lab.Given("b", {1, 2, 7, 7}, Numbers(98, 2));
  EXPECT_EQ(Lab::Check("ab", {}, Maps({a}), Maps({a, a})), "the teacher has 1 stages and the student 2");
  EXPECT_NE(Lab::Check("ab", {}, Maps({a, b}), Maps({a, a})).find("stage 2: a map"), std::string::npos);
  EXPECT_EQ(Lab::Check("ab", {}, Maps({a, a}), Maps({a, a})), "");
}

// ---- FT, FSP -----------------------------------------------------------------------------------------------

TEST(Ft, MapsMustFit) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2, 4, 4}, Numbers(32, 1)), b = lab.Given("b", {1, 2, 3, 3}, Numbers(18, 2));
  EXPECT_NE(Lab::Check("ft", {}, Maps({a}), Maps({b})).find("cannot be averaged to one size"), std::string::npos);
  EXPECT_EQ(Lab::Check("ft", {}, Maps({a}), Maps({a})), "");
}

TEST(Fsp, HandComputed) {
  // Lab's stem is stage 1 itself: G = mean of f^2: 5/2 against 1/2.
  EXPECT_NEAR(OfMaps("fsp", {1, 1, 1, 2}, {1, 2}, {1, 1, 1, 2}, {1, 0}, {{"weight", "1"}}), 4, kEps);
  EXPECT_NEAR(OfMaps("fsp", {1, 1, 1, 2}, {1, 2}, {1, 1, 1, 2}, {-1, -2}, {{"weight", "1"}}), 0, kEps);
}

TEST(Fsp, ChannelsMustAgree) {
  Lab lab;
  Expr a = lab.Given("a", {1, 2, 4, 4}, Numbers(32, 1)), b = lab.Given("b", {1, 3, 4, 4}, Numbers(48, 2));
  EXPECT_EQ(Lab::Check("fsp", {}, Maps({a, b}), Maps({a, a})),
            "the teacher has 3 channels at tap f2 and the student 2, but FSP matrices need equally many");
  EXPECT_EQ(Lab::Check("fsp", {}, Maps({a, b}), Maps({a, b})), "");
}

// ---- CRD ---------------------------------------------------------------------------------------------------

struct Contrast {
  Lab lab;
  Features t, s;
  Contrast(const std::vector<double>& ids, const std::vector<double>& labels, int64_t samples) {
    const auto n = static_cast<int64_t>(ids.size());
    lab.step.known_samples = samples;
    lab.Labels(labels);
    lab.Indices("ids", ids);
    lab.Indices("key", {1, 0, 7, 0});
    t = Pooled(lab.Given("x_t", {n, 3}, Numbers(static_cast<int>(3 * n), 1)));
    s = Pooled(lab.Given("x_s", {n, 3}, Numbers(static_cast<int>(3 * n), 2)));
  }
  Expr Term(const Options& options) { return lab.Term("crd", options, t, s); }
};

TEST(Crd, EqualScoresCostTheLogarithmOfAGuess) {
  // All memories zero: every score is 1, Z = samples, w = 1/samples. With N = samples - 1 negatives of another class
  // c = N / samples, and each side costs log(1 + N) + N log(1 + 1/N).
  Contrast c({2}, {1}, 10);
  Expr term = c.Term({{"negatives", "9"}});
  for (const char* memory : {"crd.memory_s", "crd.memory_t"}) {
    const std::vector<double> zero(10 * 128, 0);
    ASSERT_TRUE(WriteVariable(ReferenceF64(), std::span(zero), c.lab.step.state.Find(memory).get()).ok());
  }
  EXPECT_NEAR(c.lab.Value(term), 2 * (std::log(10) + 9 * std::log(10.0 / 9)), 1e-4);  // 1e-4: the 1e-7 in denominators
}

TEST(Crd, MemoriesTakeWhatTheBatchShowed) {
  Contrast c({2, 4, 2}, {1, 0, 1}, 6);
  Expr term = c.Term({{"negatives", "3"}, {"width", "2"}});
  VariableRef memory = c.lab.step.state.Find("crd.memory_s");
  const std::vector<double> before = ValuesOf(ReferenceF64(), memory);
  c.lab.Value(term);
  const std::vector<double> after = ValuesOf(ReferenceF64(), memory);
  for (size_t i = 0; i < 6; ++i) {
    const bool changed = i == 2 || i == 4;
    EXPECT_EQ(before[2 * i] != after[2 * i], changed) << i;
    if (changed) {
      EXPECT_NEAR(after[2 * i] * after[2 * i] + after[2 * i + 1] * after[2 * i + 1], 1, kEps);
    }
  }
  EXPECT_EQ(ValuesOf(ReferenceF64(), c.lab.step.state.Find("crd.labels")), (std::vector<double>{-1, -1, 1, -1, 0, -1}));
  for (const char* z : {"crd.z_s", "crd.z_t"}) EXPECT_GT(ValuesOf(ReferenceF64(), c.lab.step.state.Find(z))[0], 0);
}

TEST(Crd, WhatItNeeds) {
  {
    Contrast c({0}, {0}, 0);
    c.Term({});
    EXPECT_EQ(c.lab.graph.error(), "method crd: its memory has an entry for each sample: the option samples is needed");
  }
  {
    Contrast c({0}, {0}, 100);
    c.Term({});
    EXPECT_EQ(c.lab.graph.error(), "method crd: 16384 negatives are more than the 100 samples: set crd.negatives");
  }
}

// ---- NormKD, DKD -------------------------------------------------------------------------------------------

TEST(Normkd, HandComputed) {
  // Two classes (2,0): std sqrt 2, so tau is 2 sqrt 2 and logits over it (1/sqrt2, 0), against (-1/sqrt2, 0).
  const double p = 1 / (1 + std::exp(-std::sqrt(0.5)));
  const double kl = p * std::log(p / (1 - p)) + (1 - p) * std::log((1 - p) / p);
  EXPECT_NEAR(OfLogits("normkd", {1, 2}, {2, 0}, {-1, 0}), 8 * kl, 1e-10);
}

TEST(Normkd, ScalesOfLogits) {
  const std::vector<double> t = Numbers(12, 1), s = Numbers(12, 2);
  std::vector<double> s3 = s, t3 = t;
  for (double& v : s3) v = 3 * v + 7;
  for (double& v : t3) v = 3 * v;
  const double value = OfLogits("normkd", {3, 4}, t, s);
  EXPECT_NEAR(OfLogits("normkd", {3, 4}, t, s3), value, 1e-10);      // none for the student's
  EXPECT_NEAR(OfLogits("normkd", {3, 4}, t3, s), 9 * value, 1e-10);  // the square of the teacher's
  EXPECT_NEAR(OfLogits("normkd", {3, 4}, t, t), 0, kEps);
}

TEST(Normkd, EqualLogitsAreHarmless) {
  Lab lab;
  Expr t = lab.Given("t", {1, 3}, {1, 2, 3}), s = lab.Given("s", {1, 3}, {0, 0, 0});
  std::vector<Expr> wrt = {s};
  Expr term = lab.Term("normkd", {}, Logits(t), Logits(s));
  for (double v : lab.Numbers(Gradients(term, wrt)[0])) EXPECT_TRUE(std::isfinite(v));
}

TEST(Dkd, IsKdWithAWeightOfItsOwn) {
  // KD = KL(b_t || b_s) + (1 - p_t) KL(q_t || q_s), where p_t is the teacher's for the label.
  const std::vector<double> t = {2, -1, 0.5}, s = {0.3, 1, -2};
  auto dkd = [&](const char* alpha, const char* beta) {
    return OfLogits("dkd", {1, 3}, t, s, {{"alpha", alpha}, {"beta", beta}, {"T", "2"}, {"warmup", "0"}});
  };
  const double p = std::exp(1.0) / (std::exp(1.0) + std::exp(-0.5) + std::exp(0.25));
  Lab lab;
  Expr z_t = lab.Given("t", {1, 3}, t), z_s = lab.Given("s", {1, 3}, s);
  const double kd = lab.Value(lab.Term("kd", {{"T", "2"}}, Logits(z_t), Logits(z_s)));
  EXPECT_NEAR(dkd("1", "0") + (1 - p) * dkd("0", "1"), kd, 1e-10);
}

TEST(Dkd, WarmsUp) {
  const std::vector<double> t = Numbers(6, 1), s = Numbers(6, 2);
  auto value = [&](const char* warmup) { return OfLogits("dkd", {2, 3}, t, s, {{"warmup", warmup}}); };
  EXPECT_NEAR(value("20"), 0.5 * value("0"), kEps);  // in its tenth epoch
  EXPECT_NEAR(value("10"), value("0"), kEps);
  EXPECT_NEAR(OfLogits("dkd", {2, 3}, t, t), 0, kEps);
}

}  // namespace
}  // namespace distil
