// Logits, taps, batch statistics and gradients of the networks, against PyTorch (tests/golden/make_models.py). In f64
// the numbers must agree to the digits of the file. A backend that computes in f32 may differ by some times what
// PyTorch's own f32 does, which the file states for each network.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "losses/common.h"
#include "models/model.h"
#include "tests/golden/golden.h"
#include "tests/ops/harness.h"

namespace distil {
namespace {

using golden::Json;

const Json& File() {
  static const Json file = Json::Load("models.json");
  return file;
}

struct Way {
  std::string backend;  // "reference_f64", or one of TestBackends()
  std::string network;
  bool train;
};
std::ostream& operator<<(std::ostream& s, const Way& w) { return s << w.backend << " " << w.network; }

class Golden : public testing::TestWithParam<Way> {};

// Compares a summary with a tensor; `tolerance` is relative to the tensor's mean absolute value.
void ExpectSummary(const std::vector<double>& got, const Json& want, double tolerance, const std::string& what) {
  int64_t elements = 1;
  for (int64_t d : golden::DimsOf(want)) elements *= d;
  ASSERT_EQ(static_cast<int64_t>(got.size()), elements) << what;
  double mean = 0, mean_abs = 0;
  for (double v : got) mean += v / elements, mean_abs += std::abs(v) / elements;
  const double size = want["mean_abs"].number();
  EXPECT_NEAR(mean, want["mean"].number(), tolerance * size) << what;
  EXPECT_NEAR(mean_abs, size, tolerance * size) << what;
  const std::vector<int64_t> at = want["at"].numbers<int64_t>();
  const std::vector<double> values = want["values"].numbers();
  for (size_t i = 0; i < at.size(); ++i)
    EXPECT_NEAR(got[at[i]], values[i], tolerance * std::max(size, std::abs(values[i]))) << what << " " << at[i];
}

TEST_P(Golden, LikePyTorch) {
  const Way& way = GetParam();
  const Json& want = File()["nets"][way.network][way.train ? "train" : "eval"];
  std::unique_ptr<Backend> own;
  Backend* backend = ReferenceF64();
  CompileOptions options;
  double eps = 0;
  for (const TestBackend& t : TestBackends())
    if (t.name == way.backend) own = t.make(), backend = own.get(), options.bf16 = t.bf16, eps = t.eps;
  // Relative to the largest logit. Ten digits of the file; or PyTorch's own error in f32, in this format's eps.
  const double tolerance = eps == 0 ? 1e-9 : 4 * want["f32_error"].number() * eps / 1.19e-7;

  Graph g;
  VariableSet set([&](Variable* v, const Init& init) { return AllocateVariable(backend, 1, init, v); });
  Layers l(&g, &set, {.train = way.train});
  const int64_t batch = want["batch"].integer();
  const Model* m = FindModel(way.network);
  ASSERT_NE(m, nullptr);
  g.low_scope = true;  // as whoever trains or runs a network sets it
  Features f = m->Build(l, Input(&g, "input", {batch, 3, 32, 32}), {.classes = 100});
  g.low_scope = false;
  ASSERT_EQ(g.error(), "");
  for (const VariableRef& v : set.all()) {
    const std::vector<int64_t> dims(v->shape.dims().begin(), v->shape.dims().end());
    const std::vector<float> values = golden::FillTensor(v->name, dims);
    ASSERT_TRUE(WriteVariable(backend, std::span(values), v.get()).ok());
  }

  g.Output("logits", f.logits.id());
  g.Output("pooled", f.pooled.id());
  for (size_t i = 0; i < f.taps.size(); ++i) {
    g.Output("post" + std::to_string(i), f.taps[i].post.id());
    if (i > 0) g.Output("pre" + std::to_string(i), f.taps[i].pre.id());
  }
  std::map<std::string, VariableRef> parameters;  // in ascending order of their names, as the file has them
  Feeds feeds;
  const std::vector<float> images = golden::FillTensor("input", {batch, 3, 32, 32});
  feeds["input"].values.assign(images.begin(), images.end());
  if (way.train) {
    for (const VariableRef& v : set.parameters()) parameters[v->name] = v;
    feeds["labels"] = {want["labels"].numbers(), true};
    Expr ce = CrossEntropy(f.logits, IndexInput(&g, "labels", {batch}));
    g.Output("ce", ce.id());
    std::vector<Expr> wrt;
    for (const auto& [name, v] : parameters) wrt.push_back(Read(&g, v));
    std::vector<Expr> grads = Gradients(ce, wrt);
    size_t i = 0;
    for (const auto& [name, v] : parameters) g.Output("grad " + name, grads[i++].id());
  }
  Fetches got = RunOnce(backend, g, feeds, options);

  const std::vector<double> logits0 = want["logits0"].numbers();
  double largest = 0;
  for (double z : logits0) largest = std::max(largest, std::abs(z));
  for (size_t i = 0; i < logits0.size(); ++i) EXPECT_NEAR(got["logits"][i], logits0[i], tolerance * largest) << i;
  // Within a network numbers cancel less than in its logits, but they are compared with the mean, not the largest.
  for (const auto& [name, summary] : want["tensors"].object()) {
    ASSERT_EQ(got.count(name), 1u) << name;
    ExpectSummary(got[name], summary, 8 * tolerance, name);
  }
  if (!way.train) return;
  EXPECT_NEAR(got["ce"][0], want["ce"].number(), tolerance * largest);
  for (const char* buffer : {"running_mean", "running_var"}) {
    std::map<std::string, VariableRef> sorted;
    for (const VariableRef& v : set.all())
      if (v->name.ends_with(buffer)) sorted[v->name] = v;
    std::vector<double> all;
    for (const auto& [name, v] : sorted)
      for (double x : ValuesOf(backend, v)) all.push_back(x);
    ExpectSummary(all, want[buffer], 8 * tolerance, buffer);
  }
  std::vector<double> all;
  for (const auto& [name, v] : parameters)
    for (double x : got["grad " + name]) all.push_back(x);
  // In f32 some activation near zero of a deep network falls on the other side of its ReLU, in PyTorch too: there,
  // single gradients of resnet56 and wrn_40_2 are off by a tenth of the mean, all together by two thousandths. PyTorch's
  // own are off by up to 0.08 in the first layer of resnet50_cifar and by 0.34 somewhere in shufflenet_v2.
  if (options.bf16) return;
  const bool rough = way.network == "resnet50_cifar" || way.network == "shufflenet_v2";
  const double of_gradients = eps == 0 ? 100 * tolerance : rough ? 0.15 : 0.02;
  ExpectSummary(all, want["grads"], of_gradients, "grads");
  ExpectSummary(got["grad " + set.parameters()[0]->name], want["grad_first"], of_gradients, "grad_first");
}

std::vector<Way> Ways() {
  const std::vector<std::string> small = {"resnet8", "resnet14",          "resnet8x4",     "wrn_16_1",     "wrn_16_2",
                                          "vgg8",    "mobilenet_v2_x0_5", "shufflenet_v1", "shufflenet_v2"};
  std::vector<Way> ways;
  for (const std::string& n : small)
    for (bool train : {false, true}) ways.push_back({"reference_f64", n, train});
  for (const char* n : {"resnet18_cifar", "resnet50_cifar"}) ways.push_back({"reference_f64", n, false});
  for (const TestBackend& t : TestBackends()) {
    // Plain loops take too long for the large networks.
    for (const Model& m : AllModels())
      if (std::string(t.name) != "reference_f32" || m.name == small[0])
        for (bool train : {false, true}) ways.push_back({t.name, m.name, train});
  }
  return ways;
}

INSTANTIATE_TEST_SUITE_P(Networks, Golden, testing::ValuesIn(Ways()), [](const auto& info) {
  return info.param.backend + "_" + info.param.network + (info.param.train ? "_train" : "_eval");
});

}  // namespace
}  // namespace distil
