// Evaluation: batches smaller than the program, taps, scores.
#include "lib/train/inference.h"

#include <cmath>

#include "tests/train/lab.h"

namespace distil {
namespace {

TEST(Score, TiesCountAgainstTheNetwork) {
  Score s;
  const float tie[] = {1, 1, 0, 0, 0, 0, 0};
  AddScore(tie, 0, &s);
  EXPECT_EQ(s.top1, 0);
  EXPECT_EQ(s.top5, 1);
  const float flat[] = {0, 0, 0, 0, 0, 0, 0};
  AddScore(flat, 3, &s);
  EXPECT_EQ(s.top1, 0);
  EXPECT_EQ(s.top5, 1);  // six others are as large
  const float right[] = {0, 0, 0, 1, 0, 0, 0};
  AddScore(right, 3, &s);
  EXPECT_EQ(s.top1, 1);
  EXPECT_EQ(s.top5, 2);
  EXPECT_EQ(s.count, 3);
  const double ce_tie = -std::log(std::exp(1) / (2 * std::exp(1) + 5)),
               ce_right = -std::log(std::exp(1) / (std::exp(1) + 6));
  EXPECT_NEAR(s.loss, ce_tie + std::log(7) + ce_right, 1e-6);
}

TEST(Score, FifthAndSixth) {
  Score s;
  const float z[] = {6, 5, 4, 3, 2, 1};
  AddScore(z, 4, &s);
  EXPECT_EQ(s.top5, 1);
  AddScore(z, 5, &s);
  EXPECT_EQ(s.top5, 1);
}

TEST(Score, NaNIsNeverRight) {
  Score s;
  const float all[] = {NAN, NAN, NAN, NAN, NAN, NAN}, other[] = {1, NAN, 0, 0, 0, 0};
  AddScore(all, 0, &s);
  AddScore(other, 0, &s);
  EXPECT_EQ(s.top1, 0);
  EXPECT_EQ(s.top5, 1);
}

INSTANTIATE_TEST_SUITE_P(Devices, OnDevice, kDevices, DeviceName);

TEST_P(OnDevice, SmallerBatchesGiveTheSameNumbers) {
  const auto device = MakeDevice(GetParam());
  const auto network = TinyNetwork(device, 1);
  std::unique_ptr<Inference> inference;
  ASSERT_OK(Inference::Create(network, 4, Text("taps=f1.pre,pooled,logits"), &inference));
  const Samples data(0, 4);
  std::vector<float> whole(20), maps(4 * 8 * 4 * 4), part(10), two(2 * 8 * 4 * 4);
  ASSERT_OK(inference->Run(data.Floats()));
  ASSERT_OK(inference->Output("logits", whole));
  ASSERT_OK(inference->Output("f1.pre", maps));
  Batch half = data.Floats();
  half.count = 2;
  ASSERT_OK(inference->Run(half));
  ASSERT_OK(inference->Output("logits", part));
  ASSERT_OK(inference->Output("f1.pre", two));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
  EXPECT_TRUE(std::equal(two.begin(), two.end(), maps.begin()));
  Shape s;
  ASSERT_OK(inference->OutputShape("f1.pre", &s));
  EXPECT_EQ(s, (Shape{8, 4, 4}));
  ASSERT_OK(inference->OutputShape("logits", &s));
  EXPECT_EQ(s, (Shape{5}));
}

TEST_P(OnDevice, FollowsTheNetwork) {
  const auto device = MakeDevice(GetParam());
  const auto a = TinyNetwork(device, 1), b = TinyNetwork(device, 2);
  std::unique_ptr<Inference> ia, ib;
  ASSERT_OK(Inference::Create(a, 2, {}, &ia));
  ASSERT_OK(Inference::Create(b, 2, {}, &ib));
  const Samples data(0, 2);
  std::vector<float> za(10), zb(10);
  ASSERT_OK(ia->Run(data.Floats()));
  ASSERT_OK(ia->Output("logits", za));
  ASSERT_OK(ib->Run(data.Floats()));
  ASSERT_OK(ib->Output("logits", zb));
  EXPECT_NE(za, zb);
  ASSERT_OK(CopyNetwork(a.get(), *b));
  EXPECT_EQ(DigestOf(*a), DigestOf(*b));
  ASSERT_OK(ia->Run(data.Floats()));
  ASSERT_OK(ia->Output("logits", za));
  EXPECT_EQ(za, zb);
}

// Bytes with mean and standard deviation are the floats that they stand for.
TEST_P(OnDevice, BytesAreNormalised) {
  const auto device = MakeDevice(GetParam());
  const auto network = TinyNetwork(device, 1);
  std::unique_ptr<Inference> inference;
  ASSERT_OK(Inference::Create(network, 3, Text("mean=0.5,0.4,0.3 std=0.2,0.25,0.5"), &inference));
  Samples data(0, 3);
  const double mean[] = {0.5, 0.4, 0.3}, std[] = {0.2, 0.25, 0.5};
  for (size_t i = 0; i < 3; ++i)
    for (size_t c = 0; c < 3; ++c)
      for (size_t p = 0; p < 64; ++p)
        data.real[i * 192 + c * 64 + p] =
            static_cast<float>((data.bytes[i * 192 + p * 3 + c] / 255.0 - mean[c]) / std[c]);
  std::vector<float> a(15), b(15);
  ASSERT_OK(inference->Run(data.Floats()));
  ASSERT_OK(inference->Output("logits", a));
  ASSERT_OK(inference->Run(data.Bytes()));
  ASSERT_OK(inference->Output("logits", b));
  EXPECT_EQ(a, b);
}

TEST(Inference, MistakesAreNamed) {
  const auto device = MakeDevice("reference");
  const auto network = TinyNetwork(device, 1);
  std::unique_ptr<Inference> inference;
  ExpectError(Inference::Create(network, 0, {}, &inference), Code::kInvalidArgument, "at least one image");
  ExpectError(Inference::Create(network, 2, Text("taps=f1,f7"), &inference), Code::kNotFound, "no tap 'f7'");
  ExpectError(Inference::Create(network, 2, Text("tap=f1"), &inference), Code::kInvalidArgument, "nearest is 'taps'");
  ASSERT_OK(Inference::Create(network, 2, {}, &inference));
  std::vector<float> z(10);
  ExpectError(inference->Output("logits", z), Code::kFailedPrecondition, "before a run");
  Samples data(0, 3);
  ExpectError(inference->Run(data.Floats()), Code::kInvalidArgument, "3 images, the inference was made for 2");
  Batch b = data.Floats();
  b.count = 1;
  ASSERT_OK(inference->Run(b));
  ExpectError(inference->Output("logits", z), Code::kInvalidArgument, "has 5 numbers, not 10");
  ExpectError(inference->Output("f1", z), Code::kNotFound, "was not asked for");
  ExpectError(inference->Output("f9", z), Code::kNotFound, "no tap 'f9'");
  Score score;
  b.labels = nullptr;
  ExpectError(inference->AddScores(b, &score), Code::kInvalidArgument, "labels");
  EXPECT_EQ(score.count, 0);
}

}  // namespace
}  // namespace distil
