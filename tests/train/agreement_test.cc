// Fifty steps of distillation on two devices that share no code for the computation: the losses stay together.
//
// Differences of rounding grow from step to step, as they do between any two implementations; the tolerance is what the
// plain loops in f32 and the CPU backend keep between each other, with room for another order of summation.
#include <cmath>

#include "tests/train/lab.h"

namespace distil {
namespace {

constexpr int64_t kSteps = 50, kBatch = 16;
constexpr double kTolerance = 1e-5;  // of the loss; the two CPU devices stay within 1e-6

std::vector<double> Losses(const std::string& device_name) {
  const auto device = MakeDevice(device_name);
  const int64_t input[3] = {3, 8, 8};
  Trainer::Roles roles(2);
  roles[0].first = "student", roles[1].first = "teacher";
  EXPECT_OK(Network::CreateFromZoo(device, "resnet8", 5, input, 1, &roles[0].second));
  EXPECT_OK(Network::CreateFromZoo(device, "resnet14", 5, input, 2, &roles[1].second));
  std::unique_ptr<Trainer> trainer;
  EXPECT_OK(Trainer::Create(
      device, "kd+at", Text("schedule=constant lr=0.01 momentum=0.9 weight_decay=5e-4 at.weight=10"), roles, &trainer));
  std::vector<double> losses;
  for (int64_t k = 0; k < kSteps && trainer; ++k) {
    StepResult r;
    const Status s = trainer->Step(Samples(static_cast<uint32_t>(k), kBatch).Floats(), &r);
    EXPECT_OK(s);
    if (!s.ok()) break;
    losses.push_back(r.loss);
  }
  return losses;
}

class Agreement : public OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, Agreement, testing::Values("cuda:0", "reference"), DeviceName);

TEST_P(Agreement, FiftyStepsLikeTheCpu) {
  static const std::vector<double> cpu = Losses("cpu");
  const std::vector<double> got = Losses(GetParam());
  ASSERT_EQ(got.size(), static_cast<size_t>(kSteps));
  double worst = 0;
  for (size_t k = 0; k < got.size(); ++k) {
    worst = std::max(worst, std::abs(got[k] - cpu[k]) / cpu[k]);
    EXPECT_NEAR(got[k], cpu[k], kTolerance * cpu[k]) << "step " << k;
  }
  EXPECT_LT(cpu.back(), cpu.front());
  RecordProperty("worst", std::to_string(worst));
  std::printf("largest difference %.2g of the loss\n", worst);
}

}  // namespace
}  // namespace distil
