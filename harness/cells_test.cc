// Every cell of every built-in recipe can be trained: its networks exist and its method applies to them, which the suite's
// own check says by building all phases of its graph; and each method takes a step in each of its phases on every family
// of students that a recipe gives it.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "harness/suite.h"
#include "harness/testing.h"

namespace distil::harness {
namespace {

std::vector<PlannedRun> PlanOf(const Recipe& recipe) {
  std::vector<PlannedRun> plan;
  const Status s = AddToPlan(recipe, {}, &plan);
  EXPECT_TRUE(s.ok()) << s.message();
  return plan;
}

// The runs of all built-in recipes, those that differ only in their seed once.
struct AllCells {
  std::vector<PlannedRun> plan;
  std::map<std::string, DataShape> shapes;  // of their data sets
};
void FindAllCells(AllCells* all) {
  std::set<std::string> seen;
  for (const std::string& name : RecipeNames()) {
    Recipe recipe;
    ASSERT_OK(LoadRecipe(name, {}, &recipe));
    DataShape shape;
    ASSERT_TRUE(KnownShape(recipe.dataset, recipe.synth, &shape)) << name << ": " << recipe.dataset;
    all->shapes[recipe.dataset] = shape;
    for (PlannedRun& run : PlanOf(recipe))
      if (seen.insert(run.config_hash).second) all->plan.push_back(std::move(run));
  }
}

std::unique_ptr<Device> OneThread() {
  std::unique_ptr<Device> device;
  const Status s = Device::Open("cpu", 1, &device);
  EXPECT_TRUE(s.ok()) << s.message();
  return device;
}

TEST(Cells, FitTheirNetworks) {
  AllCells all;
  FindAllCells(&all);
  EXPECT_GT(all.plan.size(), 200u);  // the tables of two papers
  SessionOptions options;
  options.runs = "none";
  ASSERT_OK(CheckPlan(all.plan));
  ASSERT_OK(CheckFit(*OneThread(), all.plan, all.shapes, options));
}

TEST(Cells, ThatDoNotFitAreNamed) {
  const std::string text = R"(
dataset = "cifar100"
[[method]]
name = "ab"
[[pair]]
teacher = "wrn_40_2"
student = "wrn_16_2"
[[pair]]
teacher = "resnet32x4"
student = "vgg8"
)";
  Recipe recipe;
  ASSERT_OK(ParseRecipe(text, "r", "r.toml", {}, &recipe));
  SessionOptions options;
  options.runs = "none";
  EXPECT_EQ(CheckFit(*OneThread(), PlanOf(recipe), {{"cifar100", DataShape{{}, 50000}}}, options).message(),
            "resnet32x4 → vgg8, ab, seed 1: method ab: the teacher has 3 stages and the student 4");
}

// A batch of two images whose pixels differ.
struct TwoImages {
  std::vector<uint8_t> pixels;
  int32_t labels[2] = {0, 1};
  uint32_t ids[2] = {0, 1};
  explicit TwoImages(const ImageShape& s) {
    for (int64_t i = 0; i < 2 * s.channels * s.height * s.width; ++i)
      pixels.push_back(static_cast<uint8_t>(i * 7919 % 251));
  }
  ImageBatch batch() const { return {pixels.data(), labels, ids, 2}; }
};

Status TakeSteps(const Device& device, const PlannedRun& run, const ImageShape& shape) {
  std::unique_ptr<Network> student, teacher;
  std::unique_ptr<Trainer> trainer;
  DISTIL_RETURN_IF_ERROR(Network::Create(device, run.student, shape, 1, &student));
  std::vector<std::pair<std::string, const Network*>> roles = {{"student", student.get()}};
  if (!run.teacher.empty()) {
    DISTIL_RETURN_IF_ERROR(Network::Create(device, run.teacher, shape, 2, &teacher));
    roles.emplace_back("teacher", teacher.get());
  }
  constexpr int64_t kSamples = 20000;  // more than CRD's negatives
  DISTIL_RETURN_IF_ERROR(Trainer::Create(device, run.spec, RunOptions(run, 100, kSamples), shape, roles, &trainer));
  const TwoImages images(shape);
  for (bool more = true; more;) {
    StepResult result;
    DISTIL_RETURN_IF_ERROR(trainer->Step(images.batch(), &result));
    if (!std::isfinite(result.loss)) return Internal("the loss is " + std::to_string(result.loss));
    DISTIL_RETURN_IF_ERROR(trainer->SkipPhase(&more));
  }
  return {};
}

TEST(Cells, TakeStepsInEveryPhase) {
  AllCells all;
  FindAllCells(&all);
  const std::unique_ptr<Device> device = OneThread();
  std::map<std::string, std::string> family;
  std::map<std::string, int64_t> macs = {{"", 0}};
  for (const ModelInfo& m : Models()) {
    std::unique_ptr<Network> network;
    ASSERT_OK(Network::Create(*device, m.name, ImageShape(), 1, &network));
    family[m.name] = m.family, macs[m.name] = network->macs();
  }
  auto cost = [&](const PlannedRun& run) { return macs[run.teacher] + macs[run.student]; };
  std::map<std::pair<std::string, std::string>, const PlannedRun*> cheapest;
  for (const PlannedRun& run : all.plan) {
    const PlannedRun*& least = cheapest[{run.spec, family[run.student]}];
    if (!least || cost(run) < cost(*least)) least = &run;
  }
  for (const auto& [kind, run] : cheapest) {
    const Status s = TakeSteps(*device, *run, all.shapes.at(run->dataset).image);
    EXPECT_TRUE(s.ok()) << run->recipe << ", " << run->Name() << ": " << s.message();
  }
  EXPECT_GT(cheapest.size(), 60u);
}

}  // namespace
}  // namespace distil::harness
