// Ten training steps as PyTorch takes them (tests/golden/make_steps.py): losses, terms, gradients of the first step, and
// the tensors after the last.
#include <cmath>

#include "lib/base/text.h"
#include "tests/golden/golden.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

using golden::Json;

const Json& File() {
  static const Json file = Json::Load("trajectory.json");
  return file;
}

struct Case {
  std::string device;
  size_t run;
};
std::ostream& operator<<(std::ostream& s, const Case& c) {
  return s << c.device << " " << File()["runs"][c.run]["name"].string();
}

std::vector<int64_t> Dims(const Variable& v) { return {v.shape.dims().begin(), v.shape.dims().end()}; }

// The file's name of an auxiliary parameter: "fitnet.bn.weight" here is "fitnet/bn.weight" there.
std::string AuxName(std::string name, char from = '.', char to = '/') {
  return name.replace(name.find(from), 1, 1, to);
}

void FillGolden(Backend* backend, const std::vector<VariableRef>& all, const std::string& prefix) {
  for (const VariableRef& v : all) {
    const std::string name = prefix.empty() ? AuxName(v->name) : prefix + v->name;
    const std::vector<float> x = golden::FillTensor(name, Dims(*v));
    ASSERT_OK(WriteVariable(backend, std::span<const float>(x), v.get()));
  }
}

// "sgd, lr 0.05, ..." of the file as options of a trainer.
std::string OptionsOf(const Json& run) {
  const Json& o = run["optimizer"];
  std::string s = "gradients=1 epochs=10 steps_per_epoch=1 optimizer=" + o["kind"].string();
  for (const auto& [key, value] : o.object())
    if (value.type() == Json::kNumber || value.type() == Json::kBool)
      s += " " + key + "=" +
           (value.type() == Json::kBool ? std::to_string(value.boolean()) : FormatNumber(value.number()));
  if (run.has("clip_norm")) s += " clip_norm=" + FormatNumber(run["clip_norm"].number());
  s += " schedule=" + std::string(run.has("lr_per_step") ? "multistep milestones=4,7" : "constant");
  for (const auto& [term, options] : run["terms"].object())
    for (const auto& [key, value] : options.object())
      s += " " + term + "." + (key == "label_smoothing" ? "smoothing" : key) + "=" + FormatNumber(value.number());
  return s;
}

// `got` against a summary; `tolerance` relative to the tensor's mean absolute value.
void ExpectSummary(const std::vector<double>& got, const Json& want, double tolerance, const std::string& what) {
  double mean = 0;
  for (double v : got) mean += v / static_cast<double>(got.size());
  const double size = want["mean_abs"].number();
  EXPECT_NEAR(mean, want["mean"].number(), tolerance * size) << what;
  const auto at = want["at"].numbers<size_t>();
  for (size_t i = 0; i < at.size(); ++i) {
    ASSERT_LT(at[i], got.size()) << what;
    EXPECT_NEAR(got[at[i]], want["values"][i].number(), tolerance * std::max(size, std::abs(got[at[i]]))) << what;
  }
}

class Trajectory : public testing::TestWithParam<Case> {};

TEST_P(Trajectory, LikePyTorch) {
  if (GetParam().device == "cuda:0" && !WhyNoGpu().empty()) GTEST_SKIP() << WhyNoGpu();
  const Json& run = File()["runs"][GetParam().run];
  const bool f64 = GetParam().device == "reference:f64";
  const auto device = MakeDevice(GetParam().device);
  Backend* backend = device->backend.get();
  const int64_t batch = run["batch"].integer(), classes = run["classes"].integer();

  Trainer::Roles roles(1);
  roles[0].first = "student";
  ASSERT_OK(Network::CreateFromZoo(device, run["student"].string(), classes, nullptr, 1, &roles[0].second));
  std::string method;
  for (const auto& [term, options] : run["terms"].object())
    if (term != "ce") method += (method.empty() ? "" : "+") + term;
  if (run.has("teacher")) {
    roles.emplace_back("teacher", nullptr);
    ASSERT_OK(Network::CreateFromZoo(device, run["teacher"].string(), classes, nullptr, 2, &roles[1].second));
  }
  for (const auto& [role, network] : roles) FillGolden(backend, network->all(), role + "/");
  std::unique_ptr<Trainer> trainer;
  ASSERT_OK(Trainer::Create(device, method.empty() ? "ce" : method, Text(OptionsOf(run)), roles, &trainer));
  MemoryInfo memory;
  ASSERT_OK(trainer->Memory(batch, &memory));  // makes the regressor
  FillGolden(backend, trainer->aux().all(), "");

  // f64: the digits of the file. f32: 1e-4 for the totals, as promised. A pixel that falls on the other side of a ReLU or
  // a maximum, which happens in f32, shows more in a single term and in single weights after ten steps.
  const Json& losses = run["f64"];
  const double tolerance = f64 ? 1e-8 : 1e-4, term_tolerance = f64 ? 1e-8 : 1e-3, after = f64 ? 1e-7 : 1e-2;
  const std::string input = run["name"].string() + "/";
  for (int64_t k = 0; k < run["steps"].integer(); ++k) {
    const auto images = golden::FillTensor(input + "input." + std::to_string(k), {batch, 3, 32, 32});
    const auto labels = golden::FillLabels(input + "label." + std::to_string(k), static_cast<size_t>(batch),
                                           static_cast<int32_t>(classes));
    StepResult result;
    ASSERT_OK(trainer->Step({batch, false, images.data(), labels.data(), nullptr}, &result));
    const double want = losses["total"][static_cast<size_t>(k)].number();
    EXPECT_NEAR(result.loss, want, tolerance * std::abs(want)) << "step " << k;
    for (const auto& [name, value] : trainer->terms()) {
      if (!losses.has(name)) continue;
      const double term = losses[name][static_cast<size_t>(k)].number();
      EXPECT_NEAR(value, term, term_tolerance * std::abs(term)) << name << ", step " << k;
    }
    if (run.has("lr_per_step")) {
      EXPECT_NEAR(result.lr, run["lr_per_step"][static_cast<size_t>(k)].number(), 1e-15);
    }
    if (k > 0) continue;
    for (const auto& [name, summary] : run["grads"].object()) {
      const bool aux = name.find('/') != name.npos;
      std::vector<float> g(1);
      for (int64_t d : golden::DimsOf(summary)) g.resize(g.size() * static_cast<size_t>(d));
      ASSERT_OK(trainer->Gradient(aux ? "aux" : "student", aux ? AuxName(name, '/', '.') : name, g));
      ExpectSummary({g.begin(), g.end()}, summary, f64 ? 1e-6 : 2e-3, "gradient of " + name);
    }
  }
  for (const auto& [name, summary] : run["after"].object()) {
    VariableRef v = roles[0].second->variables()->Find(name);
    if (!v) v = trainer->aux().Find(AuxName(name, '/', '.'));
    ASSERT_TRUE(v) << name;
    ExpectSummary(Numbers(*roles[0].second, v), summary, after, name);
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (size_t i = 0; i < File()["runs"].size(); ++i) {
    cases.push_back({"cpu", i});
    cases.push_back({"cuda:0", i});
    // The oracle is slow: only small networks, and what f32 tells least about.
    const Json& run = File()["runs"][i];
    const std::string name = run["name"].string();
    if (name == "ce_nesterov" || name == "ce_clip" || name == "fitnet") cases.push_back({"reference:f64", i});
  }
  return cases;
}

std::string NameOf(const testing::TestParamInfo<Case>& info) {
  const std::string device =
      info.param.device == "reference:f64" ? "f64" : info.param.device.substr(0, info.param.device.find(':'));
  return device + "_" + File()["runs"][info.param.run]["name"].string();
}

INSTANTIATE_TEST_SUITE_P(Runs, Trajectory, testing::ValuesIn(Cases()), NameOf);

}  // namespace
}  // namespace distil
