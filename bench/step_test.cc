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

// In a step without a teacher every convolution and matmul runs forward, by weight and, but for the first one, by input.
TEST(MethodsBench, CountsMultiplications) {
  StepSpec spec = kSmall;
  spec.teacher = "none", spec.student = "resnet8";
  const nlohmann::json r = TimeLaunches(spec, true, /*floor=*/false);
  ASSERT_FALSE(r.contains("error")) << r["error"];
  EXPECT_FALSE(r.contains("floor_s"));
  // resnet8: three stages of two 3x3 convolutions of 16, 32, 64 channels on 32, 16, 8 pixels, the first with half the
  // channels below, shortcuts, and 100 classes.
  const double first = 9.0 * 3 * 16 * 1024, stem_stage = 2 * 9.0 * 16 * 16 * 1024;
  const double others =
      (9.0 * 16 * 32 + 9.0 * 32 * 32 + 16 * 32) * 256 + (9.0 * 32 * 64 + 9.0 * 64 * 64 + 32 * 64) * 64;
  EXPECT_DOUBLE_EQ(r["macs"].get<double>(), 4 * (2 * first + 3 * (stem_stage + others + 64.0 * 100)));
  EXPECT_GT(r["rest_bytes"].get<double>(), 4.0 * 4 * 16 * 1024 * 10);  // some passes over some maps
  EXPECT_NEAR(r["macs_s"].get<double>() + r["rest_s"].get<double>(), r["launches_s"].get<double>(), 1e-9);
}

TEST(MethodsBench, TimesTheMainPhaseOfAMethodWithOthersAhead) {
  StepSpec spec = kSmall;
  spec.teacher = "resnet14", spec.warmup = 2, spec.method = "ft";
  spec.options = "steps_per_epoch=1 epochs=10 ft.epochs=1";
  const nlohmann::json steps = TimeSteps(spec), launches = TimeLaunches(spec, true, /*floor=*/false);
  ASSERT_FALSE(steps.contains("error")) << steps["error"];
  ASSERT_FALSE(launches.contains("error")) << launches["error"];
  spec.method = "kd", spec.options = "";
  EXPECT_GT(launches["macs"].get<double>(), TimeLaunches(spec, true, false)["macs"].get<double>());
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
