// Lab: a graph on the f64 reference in which terms of methods are computed from features that a test gives.
//
//   Lab lab;
//   Expr f_t = lab.Given("f_t", {1, 1, 1, 2}, {0, 1}), f_s = lab.Given("f_s", {1, 1, 1, 2}, {1, 0});
//   EXPECT_NEAR(lab.Value(lab.Term("at", {}, Maps({f_t}), Maps({f_s}))), 1, 1e-12);
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "losses/combine.h"
#include "losses/method.h"
#include "tests/ops/harness.h"

namespace distil {

// Features of which only some are given. The stem is a stand-in.
inline Features Maps(const std::vector<Expr>& stages) {
  Features f;
  f.taps.push_back({stages[0], stages[0]});
  for (Expr e : stages) f.taps.push_back({e, e});
  return f;
}

inline Features Logits(Expr z) {
  Features f;
  f.logits = z;
  return f;
}

class Lab {
 public:
  Graph graph;
  VariableSet aux{[](Variable* v, const Init& init) { return AllocateVariable(ReferenceF64(), 1, init, v); }};

  Expr Given(const std::string& name, const Shape& shape, std::vector<double> values) {
    feeds_[name] = {std::move(values), false};
    return Input(&graph, name, shape);
  }

  Expr Labels(const std::vector<double>& values) {
    feeds_["labels"] = {values, true};
    return labels_ = IndexInput(&graph, "labels", {static_cast<int64_t>(values.size())});
  }

  // The method's term, without its weight. Options that are not given have their defaults.
  Expr Term(const std::string& method, const std::map<std::string, std::string>& options, Features t, Features s) {
    const Method* m = FindMethod(method);
    EXPECT_NE(m, nullptr) << method;
    for (const OptionSpec& o : m->options) options_.values[o.name] = o.fallback;
    for (const auto& [name, value] : options) {
      EXPECT_EQ(options_.values.count(name), 1u) << name;
      options_.values[name] = value;
    }
    if (m->check) {
      EXPECT_EQ(m->check(t, s, options_), "");
    }
    if (!labels_.valid()) Labels({0});
    Pair p{t, s, labels_, 0, 0, Layers(&graph, &aux, {.train = true}), nullptr, &options_};
    return m->loss(p);
  }

  // What the check of a method says about two networks.
  static std::string Check(const std::string& method, const std::map<std::string, std::string>& options,
                           const Features& t, const Features& s) {
    const Method* m = FindMethod(method);
    MethodOptions all;
    for (const OptionSpec& o : m->options) all.values[o.name] = o.fallback;
    for (const auto& [name, value] : options) all.values[name] = value;
    return m->check(t, s, all);
  }

  // The numbers of several values, computed in one run (which also takes the assignments).
  std::vector<std::vector<double>> Numbers(const std::vector<Expr>& values) {
    EXPECT_EQ(graph.error(), "");
    std::vector<std::string> names;
    for (Expr e : values) {
      names.push_back("value" + std::to_string(graph.outputs().size()));
      graph.Output(names.back(), e.id());
    }
    Fetches got = RunOnce(ReferenceF64(), graph, feeds_);
    std::vector<std::vector<double>> out;
    for (const std::string& name : names) out.push_back(got[name]);
    return out;
  }

  std::vector<double> Numbers(Expr value) { return Numbers(std::vector<Expr>{value})[0]; }
  double Value(Expr scalar) {
    std::vector<double> v = Numbers(scalar);
    EXPECT_EQ(v.size(), 1u);
    return v.empty() ? 0 : v[0];
  }

 private:
  Feeds feeds_;
  Expr labels_;
  MethodOptions options_;
};

}  // namespace distil
