// The deeply supervised methods: values by hand, what they do not depend on, and what they refuse.
#include "losses/heads.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/losses/lab.h"

namespace distil {
namespace {

constexpr double kEps = 1e-12;
const double kLog3 = std::log(3), kKl = std::log(2) - 0.75 * std::log(4.0 / 3) - 0.25 * std::log(4.0);
// kKl: KL of (3/4, 1/4) to (1/2, 1/2).

// Two samples of two classes; a head on each of stages 1 and 2.
struct Deep {
  Lab lab;
  Features t, s;
  Expr stand_in = lab.Given("stand_in", {2, 1, 1, 1}, {0, 0});

  Expr Z(const std::string& name, std::vector<double> v) { return lab.Given(name, {2, 2}, std::move(v)); }
  Expr M(const std::string& name, std::vector<double> v) { return lab.Given(name, {2, 1, 1, 1}, std::move(v)); }
  Deep(const std::vector<double>& z1, const std::vector<double>& z2, const std::vector<double>& z) {
    lab.Labels({0, 0});
    lab.step.heads[1] = Ending(stand_in, Z("z1", z1));
    lab.step.heads[2] = Ending(stand_in, Z("z2", z2));
    s = Ending(stand_in, Z("z", z));
  }
  double Value(const char* method, const std::map<std::string, std::string>& options = {}) {
    return lab.Value(lab.Term(method, options, t, s));
  }
};

const std::vector<double> kFlat = {0, 0, 0, 0}, kSure = {kLog3, 0, kLog3, 0};

TEST(Dsn, HandComputed) {
  // CE of flat logits is log 2, of (log 3, 0) with label 0 log 4/3.
  EXPECT_NEAR(Deep(kFlat, kSure, kFlat).Value("dsn"), std::log(2) + std::log(4.0 / 3), kEps);
  EXPECT_NEAR(Deep(kFlat, kSure, kFlat).Value("dsn", {{"heads", "2"}}), std::log(4.0 / 3), kEps);
}

TEST(Byot, HandComputed) {
  auto value = [](const std::string& variant, const std::string& lambda) {
    Deep d(kFlat, kSure, kSure);
    d.s.pooled = d.Z("x", {1, 1, 1, 1});
    d.lab.step.heads[1].pooled = d.Z("x1", {1, 3, 1, 1});
    d.lab.step.heads[2].pooled = d.Z("x2", {1, 1, 1, 1});
    return d.Value("byot", {{"tau", "1"}, {"lambda", lambda}, {"variant", variant}});
  };
  // Head 1: 0.7 log 2 + 0.3 log 2. Head 2: 0.7 log 4/3 + 0.3 times the entropy of (3/4, 1/4).
  const double entropy = 0.75 * std::log(4.0 / 3) + 0.25 * std::log(4.0);
  const double classes = std::log(2) + 0.7 * std::log(4.0 / 3) + 0.3 * entropy;
  EXPECT_NEAR(value("journal", "0"), classes, kEps);
  EXPECT_NEAR(value("conference", "0.5"), classes + 0.5 * 4 / 2, kEps);  // |(1,3) - (1,1)|^2 in one of two samples
}

TEST(Byot, TheLastClassifierOnlyTeaches) {
  Deep d(kFlat, kSure, kSure);
  d.s.pooled = d.Z("x", {1, 2, 1, 1});
  d.lab.step.heads[1].pooled = d.lab.step.heads[2].pooled = d.Z("x1", {1, 3, 1, 1});
  std::vector<Expr> wrt = {d.s.logits, d.s.pooled};
  for (Expr g : Gradients(d.lab.Term("byot", {}, d.t, d.s), wrt))
    for (double v : d.lab.Numbers(g)) EXPECT_EQ(v, 0);
}

TEST(Dks, HandComputed) {
  // Pairs are ordered: two classifiers are flat and one is not. KL of (1/2,1/2) to (3/4,1/4) is log 2/sqrt 3.
  const double to_flat = kKl, from_flat = std::log(2 / std::sqrt(3.0));
  EXPECT_NEAR(Deep(kFlat, kSure, kFlat).Value("dks"), std::log(2) + std::log(4.0 / 3) + 2 * (to_flat + from_flat),
              kEps);
  EXPECT_NEAR(Deep(kFlat, kSure, kFlat).Value("dks", {{"synergy", "0"}}), std::log(2) + std::log(4.0 / 3), kEps);
}

TEST(Dks, EqualClassifiersHaveNothingToSay) {
  EXPECT_NEAR(Deep(kSure, kSure, kSure).Value("dks"), 2 * std::log(4.0 / 3), kEps);
}

// ---- DSKD --------------------------------------------------------------------------------------------------

struct Taught : Deep {
  // The teacher is sure; classifiers as given, maps [n,1,1,1] that need no projection.
  Taught(const std::vector<double>& z1, const std::vector<double>& z2, const std::vector<double>& z,
         const std::vector<double>& m1 = {0, 0}, const std::vector<double>& m2 = {0, 0})
      : Deep(z1, z2, z) {
    t.logits = Z("t", kSure);
    t.map = M("mt", {1, 1});
    s.map = M("m", {1, 0});
    lab.step.heads[1].map = M("m1", m1);
    lab.step.heads[2].map = M("m2", m2);
  }
  double Value(std::map<std::string, std::string> options) {
    options.insert({{"tau", "1"}, {"proj", "auto"}});
    return Deep::Value("dskd", options);
  }
};

TEST(Dskd, HandComputed) {
  // Class predictions: both heads flat weigh 1/2 each, so the sum over heads is kKl.
  EXPECT_NEAR(Taught(kFlat, kFlat, kFlat).Value({{"beta", "0"}}), 2 * kKl, kEps);
  // A head that knows already has weight 0, so the other one's is 1: still kKl, but half of it with equal weights.
  EXPECT_NEAR(Taught(kFlat, kSure, kSure).Value({{"beta", "0"}}), kKl, 1e-11);
  EXPECT_NEAR(Taught(kFlat, kSure, kSure).Value({{"beta", "0"}, {"weights", "equal"}}), kKl / 2, kEps);
  // Maps: the student's own is off by 1 in one of two samples. Heads: 1 and 4 in sample 0 give (1 + 16) / 5, and 1 and 0
  // in sample 1 give 1.
  EXPECT_NEAR(Taught(kFlat, kFlat, kFlat, {2, 0}, {3, 1}).Value({{"alpha", "0"}, {"beta", "2"}}),
              2 * (0.5 + (17.0 / 5 + 1) / 2), 1e-11);
  EXPECT_NEAR(Taught(kFlat, kFlat, kFlat, {2, 0}, {3, 1}).Value({{"alpha", "0"}, {"beta", "2"}, {"weights", "equal"}}),
              2 * (0.5 + (5.0 / 2 + 1.0 / 2) / 2), kEps);
}

TEST(Dskd, WithoutHeadsTheLastLayerStays) {
  EXPECT_NEAR(Taught(kFlat, kFlat, kFlat).Value({{"heads", "none"}}), kKl + 30 * 0.5, kEps);
}

TEST(Dskd, OneHeadHasAllTheWeight) {
  for (const char* weights : {"adaptive", "equal"})
    EXPECT_NEAR(Taught(kFlat, kFlat, kSure).Value({{"heads", "1"}, {"beta", "0"}, {"weights", weights}}), kKl, 1e-11);
}

TEST(Dskd, ZeroWhenTheTeacherIsReached) {
  Taught d(kSure, kSure, kSure, {1, 1}, {1, 1});
  d.s.map = d.t.map;
  EXPECT_NEAR(d.Value({}), 0, kEps);
}

TEST(Dskd, AdaptiveIsNeverBelowEqual) {
  const std::vector<double> z1 = {0.3, -1, 2, 0.4}, z2 = {-2, 1, 0.1, 0};
  auto value = [&](const char* weights) {
    return Taught(z1, z2, kFlat, {0.3, 4}, {2, -1}).Value({{"weights", weights}});
  };
  EXPECT_GT(value("adaptive"), value("equal"));  // sum k^2 / sum k >= mean k
  // Which head is which does not matter.
  EXPECT_NEAR(Taught(z2, z1, kFlat, {2, -1}, {0.3, 4}).Value({}), value("adaptive"), 1e-10);
}

TEST(Dskd, HistogramOfWeights) {
  // Weights by maps: 1/5 and 4/5 in sample 0, 1 and 0 in sample 1.
  Taught d(kFlat, kFlat, kFlat, {2, 0}, {3, 1});
  Expr term = d.lab.Term("dskd", {{"alpha", "0"}, {"proj", "auto"}, {"histogram", "4"}}, d.t, d.s);
  std::vector<Expr> bins = {term};
  std::vector<std::string> names;
  for (const auto& [name, e] : d.lab.step.terms) names.push_back(name), bins.push_back(e);
  ASSERT_EQ(names.size(), 8u);
  EXPECT_EQ(names[0], "dskd.fea_w1.0");
  EXPECT_EQ(names[7], "dskd.fea_w2.3");
  const auto got = d.lab.Numbers(bins);
  const double want[] = {0.5, 0, 0, 0.5, 0.5, 0, 0, 0.5};
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(got[i + 1][0], want[i]) << names[i];
}

// Eq. 7 computed here, sample by sample: every sample is in the bin of its weight, and the weights of a sample sum to 1.
TEST(Dskd, HistogramIsThatOfEquation7) {
  const std::vector<double> z1 = {0.3, -1, 2, 0.4}, z2 = {-2, 1, 0.1, 0};
  const int bins = 50;
  Taught d(z1, z2, kFlat);
  Expr term = d.lab.Term("dskd", {{"tau", "2"}, {"beta", "0"}, {"proj", "auto"}, {"histogram", std::to_string(bins)}},
                         d.t, d.s);
  auto kl = [](double z) {  // of softmax(0, -log 3 / 2) to softmax(0, -z / 2), by the differences of two logits
    const double p = 1 / (1 + std::exp(-kLog3 / 2)), q = 1 / (1 + std::exp(-z / 2));
    return p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q));
  };
  std::map<std::string, double> want;
  for (size_t i = 0; i < 2; ++i) {
    const double k1 = kl(z1[2 * i] - z1[2 * i + 1]), k2 = kl(z2[2 * i] - z2[2 * i + 1]);
    want["dskd.kd_w1." + std::to_string(static_cast<int>(k1 / (k1 + k2) * bins))] += 0.5;
    want["dskd.kd_w2." + std::to_string(static_cast<int>(k2 / (k1 + k2) * bins))] += 0.5;
  }
  std::vector<Expr> values = {term};
  for (const auto& [name, e] : d.lab.step.terms) values.push_back(e);
  const auto got = d.lab.Numbers(values);
  ASSERT_EQ(got.size(), 1u + 2 * bins);
  for (size_t i = 0; i + 1 < got.size(); ++i) {
    const std::string& name = d.lab.step.terms[i].first;
    EXPECT_EQ(got[i + 1][0], want.count(name) ? want[name] : 0) << name;
  }
}

// ---- Networks that do not fit ------------------------------------------------------------------------------

TEST(Heads, NeedANetworkOfTheZoo) {
  for (const char* method : {"dsn", "byot", "dks", "dskd"}) {
    Taught d(kFlat, kFlat, kFlat);
    d.s.pooled = d.Z("x", kFlat);
    d.lab.step.zoo = false;
    d.lab.Term(method, {}, d.t, d.s);
    EXPECT_EQ(d.lab.graph.error(),
              "auxiliary classifiers are copies of the student's own stages, and this student is not a network of the "
              "zoo: take one of `harness list models`")
        << method;
  }
}

TEST(Heads, StagesMustBeThere) {
  Taught d(kFlat, kFlat, kFlat);
  for (const char* method : {"dsn", "byot", "dks", "dskd"})
    EXPECT_EQ(Lab::Check(method, {{"heads", "23"}}, d.t, d.s),
              "heads=23: the student has 3 stages, and only those before the last can get an auxiliary classifier")
        << method;
}

TEST(Dskd, NetworksMustFit) {
  Taught d(kFlat, kFlat, kFlat);
  d.t.logits = d.lab.Given("t3", {2, 3}, {0, 0, 0, 0, 0, 0});
  EXPECT_EQ(Lab::Check("dskd", {}, d.t, d.s), "the teacher has 3 classes and the student 2");
  d.t.logits = d.s.logits;
  d.t.map = d.lab.Given("mt3", {2, 1, 3, 3}, std::vector<double>(18, 0));
  d.s.map = d.lab.Given("ms2", {2, 1, 2, 2}, std::vector<double>(8, 0));
  EXPECT_EQ(Lab::Check("dskd", {}, d.t, d.s),
            "maps [2,1,3,3] and [2,1,2,2] cannot be averaged to one size: the sides of one must be whole multiples of "
            "the other's");
  EXPECT_EQ(Lab::Check("dskd", {{"beta", "0"}}, d.t, d.s), "");
}

}  // namespace
}  // namespace distil
