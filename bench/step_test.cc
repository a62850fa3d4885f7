#include <gtest/gtest.h>

#include "bench/machine.h"
#include "bench/step_child.h"

namespace distil::bench {
namespace {

const StepSpec kSmall = {"resnet8x4", "resnet8", "f32", 4, 1, 3, 1};

TEST(StepBench, TimesSteps) {
  for (const char* mode : {"f32", "winograd", "bf16"}) {
    StepSpec spec = kSmall;
    spec.mode = mode;
    const nlohmann::json r = TimeSteps(spec);
    ASSERT_FALSE(r.contains("error")) << r["error"];
    EXPECT_EQ(r["wall_s"].size(), 3u);
    EXPECT_EQ(r["cpu_s"].size(), 3u);
    EXPECT_GT(r["cpu_s"][0].get<double>(), 0);
    EXPECT_GT(r["planned_mb"].get<double>(), 1);
    EXPECT_GT(r["peak_rss_mb"].get<double>(), r["rss_after_build_mb"].get<double>() * 0.5);
    EXPECT_GT(r["first_loss"].get<double>(), 0.1);
  }
}

TEST(StepBench, TimesLaunches) {
  const nlohmann::json r = TimeLaunches(kSmall, true);
  ASSERT_FALSE(r.contains("error")) << r["error"];
  EXPECT_EQ(r["by_kind"]["conv"]["launches"], 10 + 9);
  EXPECT_EQ(r["by_kind"]["conv by input"]["launches"], 8);
  EXPECT_EQ(r["by_kind"]["conv by weight"]["launches"], 9);
  EXPECT_EQ(r["image_reorders"], 0);
  EXPECT_GT(r["floor_s"].get<double>(), 0);
  EXPECT_LT(r["floor_s"].get<double>(), 10 * r["launches_s"].get<double>());
  EXPECT_NE(ListLaunches(kSmall, true).find("Conv2dWeight"), std::string::npos);
}

TEST(StepBench, SaysWhatIsWrong) {
  StepSpec spec = kSmall;
  spec.teacher = "resnet9000";
  EXPECT_TRUE(TimeSteps(spec).contains("error"));
  EXPECT_TRUE(TimeLaunches(spec, false).contains("error"));
}

TEST(Machine, IsDescribed) {
  EXPECT_GT(MemoryMb("VmHWM"), 1);
  EXPECT_GE(MemoryMb("VmHWM"), MemoryMb("VmRSS") * 0.99);
  EXPECT_EQ(MemoryMb("NoSuchField"), 0);
  EXPECT_GE(DescribeMachine()["cores"].get<int>(), 1);
}

}  // namespace
}  // namespace distil::bench
