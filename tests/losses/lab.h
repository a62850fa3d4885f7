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

// Stage by stage the same stand-in, with the ending that is given.
inline Features Ending(Expr stand_in, Expr logits, Expr pooled = {}, Expr map = {}) {
  Features f = Maps({stand_in, stand_in, stand_in});
  f.logits = logits, f.pooled = pooled, f.map = map;
  return f;
}

inline Features Pooled(Expr x) {
  Features f;
  f.pooled = x;
  return f;
}

inline Features Logits(Expr z) {
  Features f;
  f.logits = z;
  return f;
}

class Lab;

// The step that a term sees. Auxiliary classifiers are features that the test gives (Lab::heads).
class LabStep : public StepBuilder {
 public:
  explicit LabStep(Lab* lab) : lab_(lab) {}
  std::map<int, Features> heads;  // by the stage they stand on
  bool zoo = true;                // false: the student is the caller's own
  int64_t known_samples = 0;
  std::vector<std::pair<std::string, Expr>> terms;
  VariableSet state{[](Variable* v, const Init& init) { return AllocateVariable(ReferenceF64(), 2, init, v); }};

  Graph* graph() override;
  int64_t batch() const override { return batch_; }
  int64_t classes() const override { return classes_; }
  Expr images() override { return {}; }
  Expr labels() override;
  Expr ids() override { return IndexInput(graph(), "ids", {batch_}); }
  Expr key() override { return IndexInput(graph(), "key", {4}); }
  Expr epoch() override { return distil::Input(graph(), "epoch", {}); }
  Expr step() override { return {}; }
  int64_t samples() const override { return known_samples; }
  Expr Input(const std::string&, const Shape&, bool) override { return {}; }
  Features Forward(const std::string&, Mode, Expr, const Values&) override { return {}; }
  const Model* model(const std::string&) override {
    static std::map<int, Features>* current;
    static const Model m = {"lab", "lab", "", 3, {1, 1, 1}, {}, [](Layers&, Expr, const Model&, const BuildOptions& o) {
                              return current->at(o.first_stage);
                            }};
    current = &heads;
    return zoo ? &m : nullptr;
  }
  std::vector<VariableRef> Parameters(const std::string&) override { return {}; }
  Layers Aux(const std::string&, Mode, const Values&) override;
  std::vector<VariableRef> AuxParameters(const std::string&) override { return {}; }
  VariableRef State(const std::string& name, const Shape& shape, const Init& init) override {
    VariableRef v;
    EXPECT_TRUE(state.GetOrCreate(name, shape, VariableKind::kState, init, false, &v).ok()) << name;
    return v;
  }
  void Term(const std::string& name, Expr value) override { terms.emplace_back(name, value); }
  void Minimize(Expr, const std::vector<VariableRef>&, const OptimizerChoice&) override {}
  Values Updated(Expr, const std::vector<VariableRef>&, const Values&, const OptimizerChoice&) override { return {}; }

 private:
  friend class Lab;
  Lab* lab_;
  int64_t batch_ = 0, classes_ = 0;
};

class Lab {
 public:
  LabStep step{this};
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

  Expr Indices(const std::string& name, const std::vector<double>& values) {
    feeds_[name] = {values, true};
    return IndexInput(&graph, name, {static_cast<int64_t>(values.size())});
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
    step.batch_ = s.logits.valid() ? s.logits.dim(0) : s.pooled.valid() ? s.pooled.dim(0) : s.taps.at(0).post.dim(0);
    step.classes_ = s.logits.dim(1);
    Pair p{t, s, labels_, step.batch_, step.classes_, Layers(&graph, &aux, {.train = true}), &step, &options_};
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
  friend class LabStep;
  Feeds feeds_;
  Expr labels_;
  MethodOptions options_;
};

inline Graph* LabStep::graph() { return &lab_->graph; }
inline Expr LabStep::labels() { return lab_->labels_; }
inline Layers LabStep::Aux(const std::string&, Mode, const Values&) {
  return Layers(&lab_->graph, &lab_->aux, {.train = true});
}

}  // namespace distil
