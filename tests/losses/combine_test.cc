// Expressions and options, and the step that a recipe makes of them.
#include "losses/combine.h"

#include <gtest/gtest.h>

#include "losses/common.h"
#include "tests/losses/lab.h"

namespace distil {
namespace {

using Texts = std::map<std::string, std::string>;

std::string Error(const std::string& expression, const Texts& options, const std::vector<std::string>& foreign = {}) {
  Recipe r;
  Status s = MakeRecipe(expression, options, &r, foreign);
  EXPECT_TRUE(s.ok() || s.code() == Code::kInvalidArgument);
  return s.message();
}

Recipe Made(const std::string& expression, const Texts& options = {}, const std::vector<std::string>& foreign = {}) {
  Recipe r;
  EXPECT_EQ(MakeRecipe(expression, options, &r, foreign).message(), "");
  return r;
}

// ---- Parsing -----------------------------------------------------------------------------------------------

TEST(Recipe, Defaults) {
  Recipe r = Made("kd+at");
  EXPECT_EQ(r.expression, "kd+at");
  EXPECT_EQ(r.roles, (std::vector<std::string>{"student", "teacher"}));
  EXPECT_EQ(r.options, (Texts{{"ce.weight", "1"},
                              {"ce.smoothing", "0"},
                              {"kd.weight", "1"},
                              {"kd.T", "4"},
                              {"at.weight", "1000"},
                              {"at.p", "2"},
                              {"at.form", "code"},
                              {"at.pairs", "all"}}));
  ASSERT_EQ(r.phases.size(), 1u);
  EXPECT_EQ(r.phases[0].steps.size(), 1u);
  EXPECT_EQ(r.phases[0].epochs, 0);  // as many as the run asks for
  EXPECT_EQ(Made("ce").roles, (std::vector<std::string>{"student"}));
}

TEST(Recipe, NamesOfOptions) {
  // A method alone: bare names are its own. Cross-entropy has short names everywhere.
  Recipe r = Made("kd", {{"T", "2"}, {"weight", "0.9"}, {"ce", "0.1"}, {"smoothing", "0.1"}});
  EXPECT_EQ(r.options["kd.T"], "2");
  EXPECT_EQ(r.options["kd.weight"], "0.9");
  EXPECT_EQ(r.options["ce.weight"], "0.1");
  EXPECT_EQ(r.options["ce.smoothing"], "0.1");
  EXPECT_EQ(Made("kd+at", {{"kd.T", "2"}, {"ce", "0.5"}}).options["kd.T"], "2");
  EXPECT_EQ(Made("ce", {{"weight", "2"}}).options["ce.weight"], "2");
  EXPECT_EQ(Made("ce+kd", {{"T", "2"}}).options["kd.T"], "2");
  // Somebody else's options pass by, also where a method has one of that name.
  EXPECT_EQ(Made("kd", {{"lr", "0.1"}, {"T", "many"}}, {"lr", "T"}).options["kd.T"], "4");
}

TEST(Recipe, MistakesInTheExpression) {
  EXPECT_EQ(Error("kdd", {}), "no method 'kdd'; the nearest is 'kd'");
  EXPECT_EQ(Error("kd+fitnets", {}), "no method 'fitnets'; the nearest is 'fitnet'");
  EXPECT_NE(Error("", {}), "");
  EXPECT_NE(Error("kd+", {}), "");
  EXPECT_EQ(Error("kd+at+kd", {}), "method 'kd+at+kd': kd is there twice");
  EXPECT_EQ(Error("ce+ce", {}), "method 'ce+ce': ce is there twice");
}

TEST(Recipe, MistakesInOptions) {
  EXPECT_EQ(Error("kd", {{"kd.t", "4"}}), "no option 'kd.t'; the nearest is 'kd.T'");
  EXPECT_EQ(Error("kd+at", {{"at.wieght", "4"}}), "no option 'at.wieght'; the nearest is 'at.weight'");
  EXPECT_EQ(Error("kd", {{"epoch", "4"}}, {"epochs", "lr"}), "no option 'epoch'; the nearest is 'epochs'");
  EXPECT_EQ(Error("kd+at", {{"T", "2"}}), "option T: in 'kd+at' it is called kd.T");
  EXPECT_EQ(Error("kd+at", {{"weight", "2"}}), "option weight: in 'kd+at' it is called kd.weight or at.weight");
  EXPECT_EQ(Error("kd", {{"at.weight", "2"}}), "option at.weight: method 'kd' does not contain at");
  EXPECT_EQ(Error("kd", {{"T", "2"}, {"kd.T", "2"}}), "options T and kd.T are the same; give one of them");
  EXPECT_EQ(Error("kd", {{"T", "warm"}}), "option T = 'warm': must be a number");
  EXPECT_EQ(Error("kd", {{"T", ""}}), "option T = '': must be a number");
  EXPECT_EQ(Error("kd", {{"T", "4 "}}), "option T = '4 ': must be a number");
  EXPECT_EQ(Error("kd", {{"T", "nan"}}), "option T = 'nan': must be a number");
  EXPECT_EQ(Error("kd", {{"T", "0"}}), "option T = '0': must lie in (0,inf)");
  EXPECT_EQ(Error("ce", {{"smoothing", "1"}}), "option smoothing = '1': must lie in [0,1)");
  EXPECT_EQ(Error("fitnet", {{"stage", "1.5"}}), "option stage = '1.5': must be a whole number");
  EXPECT_EQ(Error("fitnet", {{"stage", "0"}}), "option stage = '0': must lie in [1,inf)");
  EXPECT_EQ(Error("at", {{"form", "codes"}}), "option form = 'codes': must be one of code, paper");
}

// ---- The step ----------------------------------------------------------------------------------------------

// A StepBuilder that writes down what it is asked for.
class Recorder : public StepBuilder {
 public:
  Recorder(std::map<std::string, std::string> networks, int64_t batch) : batch_(batch) {
    for (const auto& [role, name] : networks) networks_.emplace(role, Network{FindModel(name), NewSet(role)});
  }

  Graph g;
  std::map<std::string, std::vector<Mode>> modes;
  std::vector<std::pair<std::string, Expr>> terms;
  Expr loss;
  std::vector<VariableRef> trained;

  Graph* graph() override { return &g; }
  int64_t batch() const override { return batch_; }
  int64_t classes() const override { return classes_; }
  Expr images() override { return distil::Input(&g, "images", {batch_, 3, 8, 8}); }
  Expr labels() override { return IndexInput(&g, "labels", {batch_}); }
  Expr ids() override { return IndexInput(&g, "ids", {batch_}); }
  Expr key() override { return IndexInput(&g, "key", {4}); }
  Expr epoch() override { return distil::Input(&g, "epoch", {}); }
  Expr step() override { return distil::Input(&g, "step", {}); }
  int64_t samples() const override { return 0; }
  Expr Input(const std::string& name, const Shape& s, bool index) override {
    return index ? IndexInput(&g, name, s) : distil::Input(&g, name, s);
  }
  Features Forward(const std::string& role, Mode mode, Expr x, const Values& with) override {
    modes[role].push_back(mode);
    Network& n = networks_.at(role);
    Layers l(&g, &n.set, {.train = mode == kTrain, .with = with});
    return n.model->Build(l, x, {.classes = role == "teacher" ? teacher_classes_ : classes_});
  }
  const Model* model(const std::string& role) override { return networks_.at(role).model; }
  std::vector<VariableRef> Parameters(const std::string& role) override { return networks_.at(role).set.parameters(); }
  Layers Aux(const std::string& name, Mode, const Values& with) override {
    return Layers(&g, &AuxSet(name), {.train = true, .with = with});
  }
  std::vector<VariableRef> AuxParameters(const std::string& name) override { return AuxSet(name).parameters(); }
  VariableRef State(const std::string&, const Shape&, const Init&) override { return nullptr; }
  void Term(const std::string& name, Expr value) override { terms.emplace_back(name, value); }
  void Minimize(Expr l, const std::vector<VariableRef>& parameters, const OptimizerChoice&) override {
    loss = l;
    trained = parameters;
  }
  Values Updated(Expr, const std::vector<VariableRef>&, const Values&, const OptimizerChoice&) override { return {}; }

  void set_classes(int64_t teacher, int64_t student_and_data) {
    teacher_classes_ = teacher;
    classes_ = student_and_data;
  }

  // The terms' numbers, and at last the loss.
  std::vector<double> Run() {
    EXPECT_EQ(g.error(), "");
    for (const auto& [name, e] : terms) g.Output(name, e.id());
    g.Output("loss", loss.id());
    Rng rng(1);
    Feeds feeds;
    for (int64_t i = 0; i < batch_ * 3 * 64; ++i) feeds["images"].values.push_back(rng.Uniform(-1, 1));
    feeds["labels"].index = true;
    for (int64_t i = 0; i < batch_; ++i) feeds["labels"].values.push_back(static_cast<double>(i % classes_));
    Fetches got = RunOnce(ReferenceF64(), g, feeds);
    std::vector<double> out;
    for (const auto& [name, e] : terms) out.push_back(got[name].at(0));
    out.push_back(got["loss"].at(0));
    return out;
  }

 private:
  struct Network {
    const Model* model;
    VariableSet set;
  };
  static VariableSet NewSet(const std::string& name) {
    return VariableSet([name](Variable* v, const Init& init) {
      return AllocateVariable(ReferenceF64(), name == "teacher" ? 7 : 8, init, v);
    });
  }
  VariableSet& AuxSet(const std::string& name) { return aux_.try_emplace(name, NewSet(name)).first->second; }

  int64_t batch_, classes_ = 5, teacher_classes_ = 5;
  std::map<std::string, Network> networks_;
  std::map<std::string, VariableSet> aux_;
};

void Build(const Recipe& r, StepBuilder* b) { r.phases[0].steps[0](*b); }

TEST(Recipe, TotalIsTheWeightedSum) {
  Recorder b({{"student", "resnet8"}, {"teacher", "wrn_16_1"}}, 3);
  Build(Made("kd+fitnet+at+sp", {{"ce", "0.5"}, {"kd.weight", "0.9"}, {"at.weight", "0"}}), &b);
  std::vector<std::string> names;
  for (const auto& [name, e] : b.terms) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"ce", "kd", "fitnet", "at", "sp"}));
  EXPECT_EQ(b.modes["teacher"], std::vector<StepBuilder::Mode>{StepBuilder::kFrozen});
  EXPECT_EQ(b.modes["student"], std::vector<StepBuilder::Mode>{StepBuilder::kTrain});
  std::vector<double> v = b.Run();
  for (double x : v) EXPECT_GT(x, 0);
  const double total = 0.5 * v[0] + 0.9 * v[1] + 100 * v[2] + 3000 * v[4];
  EXPECT_NEAR(v[5], total, 1e-12 * total);
}

TEST(Recipe, TrainsTheStudentAndItsRegressor) {
  Recorder b({{"student", "resnet8"}, {"teacher", "resnet14"}}, 2);
  Build(Made("fitnet"), &b);
  std::vector<VariableRef> expected = b.Parameters("student");
  for (const VariableRef& v : b.AuxParameters("fitnet")) expected.push_back(v);
  EXPECT_EQ(b.AuxParameters("fitnet").size(), 4u);  // convolution and batch norm
  EXPECT_EQ(b.trained, expected);
}

TEST(Recipe, CrossEntropyAloneNeedsNoTeacher) {
  Recorder b({{"student", "resnet8"}}, 2);
  Build(Made("ce"), &b);
  EXPECT_EQ(b.loss.id(), b.terms[0].second.id());
  EXPECT_EQ(b.modes.count("teacher"), 0u);
}

TEST(Recipe, NetworksThatDoNotFit) {
  {
    Recorder b({{"student", "resnet8"}, {"teacher", "resnet14"}}, 2);
    b.set_classes(10, 5);
    Build(Made("kd"), &b);
    EXPECT_EQ(b.g.error(), "method kd: the teacher has 10 classes and the student 5");
  }
  {
    Recorder b({{"student", "resnet8"}, {"teacher", "vgg8"}}, 2);
    Build(Made("at"), &b);
    EXPECT_EQ(b.g.error(),
              "method at: the teacher has 4 stages and the student 3; at.pairs=common compares those that "
              "both have");
  }
  {
    Recorder b({{"student", "resnet8"}}, 2);
    Build(Made("ce", {{"ce", "0"}}), &b);
    EXPECT_EQ(b.g.error(), "every term has weight 0: there is nothing to minimise");
  }
}

}  // namespace
}  // namespace distil
