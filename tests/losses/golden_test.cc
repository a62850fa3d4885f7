// Each method against PyTorch's loss and gradients (tests/golden/make_methods.py).
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>

#include "tests/golden/golden.h"
#include "tests/losses/lab.h"

namespace distil {
namespace {

// The numbers of the files have ten digits.
void ExpectGolden(const std::vector<double>& got, const golden::Json& want, const std::string& what) {
  const std::vector<double> values = want["values"].numbers();
  ASSERT_EQ(got.size(), values.size()) << what;
  double size = 0;
  for (double v : values) size = std::max(size, std::abs(v));
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], values[i], 1e-9 * size + 1e-15) << what << " " << i;
}

// "f2_t": kind 'f' of number 2 (-1 without a number) on the teacher's side.
struct InputName {
  char kind;
  int number;
  bool teacher;
  explicit InputName(const std::string& name)
      : kind(name[0]),
        number(std::isdigit(static_cast<unsigned char>(name[1])) ? name[1] - '0' : -1),
        teacher(name.back() == 't') {}
};

void Place(Lab* lab, const std::map<std::string, Expr>& in, Features* t, Features* s) {
  for (const auto& [name, e] : in) {
    const InputName n(name);
    Features& f = !n.teacher && n.number >= 0 && n.kind != 'f' && n.kind != 'g' ? lab->step.heads[n.number]
                  : n.teacher                                                   ? *t
                                                                                : *s;
    if (n.kind == 'z') f.logits = e;
    if (n.kind == 'x') f.pooled = e;
    if (n.kind == 'm') f.map = e;
    if (n.kind != 'f' && n.kind != 'g') continue;
    const auto i = static_cast<size_t>(n.number < 0 ? 1 : n.number);
    if (f.taps.size() <= i) f.taps.resize(i + 1);
    if (f.taps[0].post.id() == kNoValue) f.taps[0] = {e, e};  // no stem: any map
    if (n.kind == 'f') f.taps[i].post = e;
    if (n.kind == 'g') f.taps[i].pre = e;
  }
  if (!lab->step.heads.empty() || in.empty()) {
    Expr any = lab->Given("stand_in", {1, 1, 1, 1}, {0});
    s->taps.assign(4, {any, any});
  }
}

TEST(Methods, LossAndGradientsOfPyTorch) {
  const golden::Json file = golden::Json::Load("methods.json");
  std::map<std::string, int> tested;
  for (const golden::Json& c : file["cases"].array()) {
    SCOPED_TRACE(c["name"].string());
    const std::string method = c["method"].string();
    Lab lab;
    std::map<std::string, Expr> in;
    std::map<std::string, std::vector<float>> parameters;
    for (const auto& [name, record] : c["inputs"].object()) {
      std::vector<float> v = golden::InputOf(record);
      if (name.find('.') != name.npos)
        parameters[name] = v;
      else
        in[name] = lab.Given(name, Shape(golden::DimsOf(record)), {v.begin(), v.end()});
    }
    if (c.has("labels")) lab.Labels(c["labels"].numbers());
    if (c.has("ids")) lab.Indices("ids", c["ids"].numbers());
    if (c.has("samples")) lab.step.known_samples = c["samples"].integer();
    lab.Indices("key", {1, 2, 3, 4});
    lab.Given("epoch", {}, {c.has("epoch") ? c["epoch"].number() : 0});

    std::map<std::string, std::string> options;
    auto option = [&](const char* golden, const char* ours) {
      if (c["options"].has(golden)) options[ours] = std::to_string(c["options"][golden].number());
    };
    option("label_smoothing", "smoothing");
    option("T", "T");
    option("p", "p");
    if (c.has("set"))
      for (const auto& [name, text] : c["set"].object()) options[name] = text.string();
    if (method == "fitnet") options["stage"] = "1";
    Features t, s;
    Place(&lab, in, &t, &s);
    Expr term = lab.Term(method, options, t, s);
    ASSERT_EQ(lab.graph.error(), "");
    auto variable = [&](const std::string& name) {
      VariableRef v = lab.aux.Find(name);
      return v ? v : lab.step.state.Find(name);
    };
    for (const auto& [name, values] : parameters) {
      ASSERT_NE(variable(name), nullptr) << name;
      ASSERT_TRUE(WriteVariable(ReferenceF64(), std::span(values), variable(name).get()).ok());
    }

    std::vector<std::string> names;
    std::vector<Expr> wrt;
    for (const auto& [name, record] : c["grads"].object()) {
      names.push_back(name);
      wrt.push_back(in.count(name) ? in[name] : Read(&lab.graph, variable(name)));
    }
    std::vector<Expr> values = Gradients(term, wrt);
    values.push_back(term);
    auto got = lab.Numbers(values);
    const double loss = c["loss"].number();
    ASSERT_EQ(got.back().size(), 1u);
    EXPECT_NEAR(got.back()[0], loss, 1e-9 * std::abs(loss) + 1e-15);
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i].ends_with("conv.bias")) {  // no effect in front of a batch norm: rounding noise around zero
        for (double g : got[i]) EXPECT_NEAR(g, 0, 1e-11);
      } else {
        ExpectGolden(got[i], c["grads"][names[i]], names[i]);
      }
    }
    if (c.has("after"))
      for (const auto& [name, record] : c["after"].object())
        ExpectGolden(ValuesOf(ReferenceF64(), variable(name)), record, name);
    ++tested[method];
  }
  for (const Method* m : AllMethods()) EXPECT_GE(tested[m->name], 1) << m->name;
}

}  // namespace
}  // namespace distil
