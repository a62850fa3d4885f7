#include "harness/run_state.h"

#include <gtest/gtest.h>

#include "harness/files.h"
#include "harness/testing.h"

namespace distil::harness {
namespace {

TEST(RunState, MeansWeighBatchesByTheirImages) {
  RunState s;
  s.AddStep({{"ce", 1.0}, {"kd", 3.0}}, 4.0, 30, 15);
  s.AddStep({{"ce", 2.0}, {"kd", 1.0}}, 3.0, 10, 5);
  auto means = s.Means();
  EXPECT_EQ(means["ce"], 1.25);
  EXPECT_EQ(means["kd"], 2.5);
  EXPECT_EQ(means["loss"], 3.75);
  EXPECT_EQ(means["top1"], 50);
}

TEST(RunState, TheStateOfEitherOfTwoCheckpointsIsFound) {
  TemporaryFolder folder;
  StateFile file(folder / "state.json");
  RunState s;
  for (int64_t step : {10, 20, 30}) {
    s.step = step;
    s.AddStep({{"ce", 0.1 * static_cast<double>(step)}}, 1, 7, 3);
    ASSERT_OK(file.Save(s));
  }
  RunState back;
  StateFile fresh(folder / "state.json");
  ASSERT_OK(fresh.Load(20, &back));  // killed after the state of step 30 was written, but not its checkpoint
  ASSERT_OK(fresh.Load(30, &back));
  EXPECT_EQ(back.sums, s.sums);  // the very same bits
  EXPECT_EQ(back.images, 21);
  EXPECT_NE(fresh.Load(10, &back).message().find("has no state of step 10"), std::string::npos);
}

TEST(RunState, MetricsPastTheCheckpointAreLeftOut) {
  TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  std::string lines;
  for (const EpochMetrics& m : MadeUpRun("r", "", "resnet8", "ce", 1, 50).epochs) lines += Canonical(ToJson(m)) + "\n";
  ASSERT_OK(WriteFileAtomic(path, lines + "{\"epoch\": 5, \"lr"));  // torn by a kill
  std::vector<EpochMetrics> epochs;
  ASSERT_OK(ReadMetrics(path, 3, &epochs));
  EXPECT_EQ(epochs.size(), 3u);
  EXPECT_TRUE(ReadMetrics(path, 6, &epochs).message().starts_with(path + ":5: not valid JSON"));
  ASSERT_OK(WriteFileAtomic(path, ""));
  EXPECT_NE(ReadMetrics(path, 1, &epochs).message().find("epoch 1 is missing"), std::string::npos);
}

}  // namespace
}  // namespace distil::harness
