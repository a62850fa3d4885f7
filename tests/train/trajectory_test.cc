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

// A trainer at the start of a run of the file.
struct Start {
  const Json& run;
  std::shared_ptr<Device> device;
  Trainer::Roles roles;
  std::unique_ptr<Trainer> trainer;

  Start(const Json& r, const std::string& name) : run(r), device(MakeDevice(name)), roles(1) {}

  Status Make(const std::string& more) {
    const int64_t classes = run["classes"].integer();
    roles[0].first = "student";
    DISTIL_RETURN_IF_ERROR(
        Network::CreateFromZoo(device, run["student"].string(), classes, nullptr, 1, &roles[0].second));
    std::string method;
    for (const auto& [term, options] : run["terms"].object())
      if (term != "ce") method += (method.empty() ? "" : "+") + term;
    if (run.has("teacher")) {
      roles.emplace_back("teacher", nullptr);
      DISTIL_RETURN_IF_ERROR(
          Network::CreateFromZoo(device, run["teacher"].string(), classes, nullptr, 2, &roles[1].second));
    }
    for (const auto& [role, network] : roles) FillGolden(device->backend.get(), network->all(), role + "/");
    DISTIL_RETURN_IF_ERROR(
        Trainer::Create(device, method.empty() ? "ce" : method, Text(OptionsOf(run) + more), roles, &trainer));
    MemoryInfo memory;
    DISTIL_RETURN_IF_ERROR(trainer->Memory(run["batch"].integer(), &memory));  // makes the regressor
    FillGolden(device->backend.get(), trainer->aux().all(), "");
    return {};
  }
  Status Step(int64_t k, StepResult* result) {
    const std::string input = run["name"].string() + "/";
    const int64_t batch = run["batch"].integer();
    const auto images = golden::FillTensor(input + "input." + std::to_string(k), {batch, 3, 32, 32});
    const auto labels = golden::FillLabels(input + "label." + std::to_string(k), static_cast<size_t>(batch),
                                           static_cast<int32_t>(run["classes"].integer()));
    return trainer->Step({batch, false, images.data(), labels.data(), nullptr}, result);
  }
};

class Trajectory : public testing::TestWithParam<Case> {};

TEST_P(Trajectory, LikePyTorch) {
  if (GetParam().device == "cuda:0" && !WhyNoGpu().empty()) GTEST_SKIP() << WhyNoGpu();
  const Json& run = File()["runs"][GetParam().run];
  const bool f64 = GetParam().device == "reference:f64";
  Start start(run, GetParam().device);
  ASSERT_OK(start.Make(""));
  Trainer* trainer = start.trainer.get();
  const Trainer::Roles& roles = start.roles;

  // f64: the digits of the file. f32: 1e-4 for the totals, as promised. A pixel that falls on the other side of a ReLU or
  // a maximum, which happens in f32, shows more in a single term and in single weights after ten steps.
  const Json& losses = run["f64"];
  const double tolerance = f64 ? 1e-8 : 1e-4, term_tolerance = f64 ? 1e-8 : 1e-3, after = f64 ? 1e-7 : 1e-2;
  for (int64_t k = 0; k < run["steps"].integer(); ++k) {
    StepResult result;
    ASSERT_OK(start.Step(k, &result));
    const double want = losses["total"][static_cast<size_t>(k)].number();
    EXPECT_NEAR(result.loss, want, tolerance * std::abs(want)) << "step " << k;
    for (const auto& [name, value] : TermsOf(*trainer)) {
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

// What each mode costs in accuracy: its losses over the ten steps beside PyTorch's in f64, printed. Rounding decides more
// and more ReLUs otherwise as steps go by, which is why the bounds are wide.
TEST(Trajectories, OfEachMode) {
  const struct {
    const char* options;
    double bound;
  } modes[] = {{"", 1e-4}, {" winograd=1", 1e-3}, {" bf16=1", 0.1}};
  for (size_t i = 0; i < File()["runs"].size(); ++i) {
    const Json& run = File()["runs"][i];
    if (!run["name"].string().starts_with("kd")) continue;
    std::printf("%-12s", run["name"].string().c_str());
    for (const auto& mode : modes) {
      Start start(run, "cpu");
      const Status made = start.Make(mode.options);
      if (made.code() == Code::kUnsupported) continue;  // bf16 without AVX-512
      ASSERT_OK(made);
      double first = 0, worst = 0;
      for (int64_t k = 0; k < run["steps"].integer(); ++k) {
        StepResult result;
        ASSERT_OK(start.Step(k, &result));
        const double want = run["f64"]["total"][static_cast<size_t>(k)].number();
        worst = std::max(worst, std::abs(result.loss - want) / std::abs(want));
        if (k == 0) first = worst;
      }
      EXPECT_LE(worst, mode.bound) << run["name"].string() << mode.options;
      std::printf("  %s: first step %.1e, worst of ten %.1e", *mode.options ? mode.options + 1 : "f32", first, worst);
    }
    std::printf("\n");
  }
}

}  // namespace
}  // namespace distil
