// Learning rates against PyTorch's schedulers (tests/golden/make_optim.py), and what the file does not say.
#include "lib/train/schedule.h"

#include <gtest/gtest.h>

#include "lib/base/text.h"
#include "tests/golden/golden.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

using golden::Json;

Schedule Make(const std::string& text, double epochs) {
  TrainingOptions o;
  EXPECT_OK(ReadTrainingOptions(Text(text), &o, nullptr));
  return {o, epochs};
}

TEST(Schedule, LikePyTorch) {
  const Json file = Json::Load("optim.json");
  for (const Json& s : file["schedules"].array()) {
    const std::map<std::string, std::string> names = {
        {"lr", "lr"}, {"min", "lr_min"}, {"gamma", "gamma"}, {"size", "step_epochs"}, {"warmup", "warmup_epochs"}};
    std::string text = "steps_per_epoch=1 schedule=" + s["kind"].string();
    for (const auto& [key, name] : names)
      if (s.has(key)) text += " " + name + "=" + FormatNumber(s[key].number());
    if (s.has("milestones")) {
      text += " milestones=";
      for (const Json& m : s["milestones"].array()) text += (text.back() == '=' ? "" : ",") + FormatNumber(m.number());
    }
    const Schedule schedule = Make(text, s["total"].number());
    for (size_t t = 0; t < s["values"].size(); ++t) {
      const double want = s["values"][t].number();
      EXPECT_NEAR(schedule.At(static_cast<int64_t>(t)), want, 1e-9 * want + 1e-15) << s["name"].string() << " at " << t;
    }
  }
}

// The CRD benchmark: 240 epochs, the rate falls with epochs 151, 181 and 211, counted from 1.
TEST(Schedule, FallsAfterTheMilestone) {
  const Schedule s = Make("steps_per_epoch=782", 240);
  auto first = [](int64_t epoch_from_1) { return (epoch_from_1 - 1) * 782; };
  EXPECT_DOUBLE_EQ(s.At(first(151) - 1), 0.05);
  EXPECT_DOUBLE_EQ(s.At(first(151)), 0.005);
  EXPECT_DOUBLE_EQ(s.At(first(181) - 1), 0.005);
  EXPECT_DOUBLE_EQ(s.At(first(181)), 0.0005);
  EXPECT_DOUBLE_EQ(s.At(first(211)), 0.00005);
}

// Five epochs of warm-up in single steps: lr (1 + it + e I) / (5 I).
TEST(Schedule, WarmUpRisesWithEveryStep) {
  const Schedule s = Make("steps_per_epoch=10 schedule=constant lr=0.1 warmup_epochs=5", 90);
  EXPECT_DOUBLE_EQ(s.At(0), 0.002);
  EXPECT_DOUBLE_EQ(s.At(1), 0.004);
  EXPECT_DOUBLE_EQ(s.At(49), 0.1);
  EXPECT_DOUBLE_EQ(s.At(50), 0.1);
  EXPECT_TRUE(s.NeedsEpochs());
  EXPECT_FALSE(Make("schedule=constant", 1).NeedsEpochs());
}

TEST(Schedule, WithoutEpochsTheFirstRateStays) { EXPECT_EQ(Make("schedule=constant lr=0.3", 1).At(1000000), 0.3); }

}  // namespace
}  // namespace distil
