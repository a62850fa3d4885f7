// Every method trains: ten steps on one batch, through all of its phases.
#include <cmath>
#include <set>

#include "tests/train/lab.h"

namespace distil {
namespace {

struct Case {
  const char* method;
  const char* options;
  int64_t before = 0;  // steps of the phase ahead of the main one
};
std::ostream& operator<<(std::ostream& s, const Case& c) { return s << c.method; }

const Case kCases[] = {
    {"ce", ""},
    {"kd", ""},
    {"fitnet", "fitnet.weight=1"},
    {"at", "at.weight=10"},
    {"sp", "sp.weight=10"},
    {"vid", ""},
    {"dsn", ""},
    {"byot", ""},
    {"dks", ""},
    {"dskd", "beta=3"},
    {"dskd", "beta=3 weight_grad=yes heads=2"},
    {"rkd", ""},
    {"pkt", "weight=1000"},
    {"cc", ""},
    {"nst", ""},
    {"ab", "ab.epochs=4", 4},
    {"ab", "ab.epochs=4 ab.weight=1", 4},
    {"ft", "ft.epochs=4 ft.weight=1", 4},
    {"ft", "ft.epochs=4 ft.weight=1 mode=paper", 4},
    {"fsp", "fsp.epochs=4", 4},
    {"crd", "negatives=6"},
    {"crd", "negatives=12"},
    {"normkd", "ce=0.1"},
    {"dkd", ""},
};

constexpr int64_t kSteps = 10;

std::shared_ptr<Network> Small(const std::shared_ptr<Device>& device, const std::string& name, uint64_t seed) {
  const int64_t input[] = {3, 8, 8};
  std::shared_ptr<Network> n;
  EXPECT_OK(Network::CreateFromZoo(device, name, 5, input, seed, &n));
  return n;
}

struct Training {
  explicit Training(const std::string& device_name = "cpu") : device(MakeDevice(device_name)) {}
  std::shared_ptr<Device> device;
  Trainer::Roles roles;
  std::unique_ptr<Trainer> trainer;

  Status Make(const std::string& method, const std::string& options, const std::string& student = "resnet8",
              const std::string& teacher = "resnet8") {
    Recipe recipe;
    DISTIL_RETURN_IF_ERROR(MakeRecipe(method, {}, &recipe));
    for (const std::string& role : recipe.roles)
      roles.emplace_back(role, Small(device, role == "teacher" ? teacher : student, role == "teacher" ? 2 : 1));
    return Trainer::Create(device, method,
                           Text("epochs=10 steps_per_epoch=1 schedule=constant lr=0.02 samples=12 " + options), roles,
                           &trainer);
  }
  // Ids below the number of samples that the options tell.
  Status Step(StepResult* r) {
    Samples samples(0);
    return trainer->Step(samples.Floats(), r);
  }
};

class Methods : public testing::TestWithParam<std::tuple<std::string, Case>> {};

TEST_P(Methods, TenSteps) {
  const auto& [device, c] = GetParam();
  if (device == "cuda:0" && !WhyNoGpu().empty()) GTEST_SKIP() << WhyNoGpu();
  Training run(device);
  ASSERT_OK(run.Make(c.method, c.options));
  const size_t exported = run.roles[0].second->all().size();
  std::vector<double> losses;
  const int64_t before = c.before;
  for (int64_t k = 0; k < before + kSteps; ++k) {
    StepResult r;
    ASSERT_OK(run.Step(&r));
    ASSERT_TRUE(std::isfinite(r.loss));
    losses.push_back(r.loss);
  }
  const auto main = losses.begin() + before;
  EXPECT_LT(losses.back(), *main);
  if (before > 0) {
    EXPECT_LT(*(main - 1), losses.front());
  }
  EXPECT_EQ(run.roles[0].second->all().size(), exported);  // nothing auxiliary is in the network
}

std::string NameOf(const testing::TestParamInfo<std::tuple<std::string, Case>>& info) {
  const auto& [device, c] = info.param;
  return device.substr(0, device.find(':')) + "_" + c.method + std::to_string(info.index % std::size(kCases));
}

INSTANTIATE_TEST_SUITE_P(All, Methods, testing::Combine(testing::Values("cpu", "cuda:0"), testing::ValuesIn(kCases)),
                         NameOf);

TEST(Methods, AllAreTrainedHere) {
  std::set<std::string> trained;
  for (const Case& c : kCases) trained.insert(c.method);
  for (const Method* m : AllMethods()) EXPECT_EQ(trained.count(m->name), 1u) << m->name;
}

// Memories, auxiliary modules and the phase are in a checkpoint.
TEST(Methods, ResumeWhereTheyStopped) {
  for (const Case& c : {Case{"crd", "negatives=6"}, Case{"ft", "ft.epochs=3 ft.weight=1"}, Case{"ab", "ab.epochs=3"}}) {
    SCOPED_TRACE(c.method);
    Training whole;
    ASSERT_OK(whole.Make(c.method, c.options));
    const std::string path = TempPath(c.method);
    for (int k = 0; k < 6; ++k) {
      if (k == 2) ASSERT_OK(whole.trainer->Save(path + "2"));
      if (k == 4) ASSERT_OK(whole.trainer->Save(path + "4"));
      ASSERT_OK(whole.Step(nullptr));
    }
    for (const char* at : {"2", "4"}) {
      Training resumed;
      ASSERT_OK(resumed.Make(c.method, c.options));
      ASSERT_OK(resumed.trainer->Load(path + at));
      while (resumed.trainer->step() < 6) ASSERT_OK(resumed.Step(nullptr));
      EXPECT_EQ(DigestOf(*resumed.roles[0].second), DigestOf(*whole.roles[0].second)) << at;
      EXPECT_EQ(TermsOf(*resumed.trainer), TermsOf(*whole.trainer)) << at;
    }
  }
}

// What would stop the main phase is said before the first one is run.
TEST(Methods, MistakesAreFoundBeforeTheFirstPhase) {
  Training run;
  ExpectError(run.Make("ab+dskd", "dskd.heads=3"), Code::kInvalidArgument,
              "method dskd: heads=3: the student has 3 stages");
}

// ---- Deep supervision ------------------------------------------------------------------------------------------------

TEST(Heads, EveryFamilyHasThem) {
  for (const char* name : {"resnet8", "wrn_16_1", "vgg8"}) {
    SCOPED_TRACE(name);
    Training run;
    ASSERT_OK(run.Make("dskd", "beta=3", name));
    StepResult r;
    ASSERT_OK(run.Step(&r));
    EXPECT_TRUE(std::isfinite(r.loss));
  }
}

TEST(Heads, AreTailsOfTheNetworkWithValuesOfTheirOwn) {
  Training run;
  ASSERT_OK(run.Make("dsn", ""));
  ASSERT_OK(run.Step(nullptr));
  const VariableSet& aux = run.trainer->aux();
  const VariableSet& own = *run.roles[0].second->variables();
  // Head 1 is layer2, layer3 and fc; head 2 is layer3 and fc.
  int checked = 0;
  for (const VariableRef& v : own.all()) {
    for (const int head : {1, 2}) {
      const VariableRef copy = aux.Find("dsn.head" + std::to_string(head) + "." + v->name);
      const bool follows = v->name.rfind("fc.", 0) == 0 || (v->name.rfind("layer", 0) == 0 && v->name[5] - '0' > head);
      ASSERT_EQ(copy != nullptr, follows) << v->name;
      if (!copy) continue;
      EXPECT_EQ(copy->shape, v->shape) << v->name;
      if (v->name.ends_with("conv1.weight")) {
        EXPECT_NE(Numbers(*run.roles[0].second, copy), Numbers(*run.roles[0].second, v)) << v->name;
      }
      ++checked;
    }
  }
  EXPECT_EQ(aux.all().size(), static_cast<size_t>(checked));
}

TEST(Heads, AreTrained) {
  Training run;
  ASSERT_OK(run.Make("dskd", "beta=3"));
  MemoryInfo memory;
  ASSERT_OK(run.trainer->Memory(6, &memory));  // makes them
  std::map<std::string, std::vector<double>> before;
  for (const VariableRef& v : run.trainer->aux().all()) before[v->name] = Numbers(*run.roles[0].second, v);
  ASSERT_OK(run.Step(nullptr));
  for (const VariableRef& v : run.trainer->aux().all())
    EXPECT_NE(Numbers(*run.roles[0].second, v), before[v->name]) << v->name;
}

TEST(Heads, NotOfANetworkOfOnesOwn) {
  const auto device = MakeDevice("cpu");
  Trainer::Roles roles = {{"student", TinyNetwork(device, 1)}};
  std::unique_ptr<Trainer> trainer;
  ExpectError(Trainer::Create(device, "dsn", Text("schedule=constant"), roles, &trainer), Code::kInvalidArgument,
              "is not a network of the zoo");
}

TEST(Heads, WeightsOfFigure2AreTerms) {
  Training run;
  ASSERT_OK(run.Make("dskd", "histogram=4"));
  ASSERT_OK(run.Step(nullptr));
  std::map<std::string, double> sums;
  for (const auto& [name, value] : TermsOf(*run.trainer))
    if (name.rfind("dskd.", 0) == 0) sums[name.substr(0, name.rfind('.'))] += value;
  ASSERT_EQ(sums.size(), 4u);  // two stages, predictions and maps
  for (const auto& [name, sum] : sums) EXPECT_NEAR(sum, 1, 1e-6) << name;
}

}  // namespace
}  // namespace distil
