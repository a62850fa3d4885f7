// Attached sets: steps on samples by number are steps on uint8 batches, which are steps on the floats that the augmenter
// makes of them, bit for bit, on every device.
#include <unistd.h>

#include "lib/train/inference.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

constexpr char kOptions[] =
    "epochs=4 steps_per_epoch=2 schedule=cosine lr=0.05 crop_pad=1 flip=0.5 cutout=3 brightness=0.2 contrast=0.3 "
    "saturation=0.4 hue=0.1 mean=0.4,0.5,0.6 std=0.2,0.3,0.25";
constexpr int64_t kSet = 20;
constexpr size_t kPixels = 3 * 8 * 8;

// Places in the set of each step's batch, which are of different sizes.
const std::vector<std::vector<uint32_t>> kSteps = {{3, 17, 0, 5, 5, 19}, {1, 2, 4}, {18, 3, 9, 11, 12, 6}, {7}};

ImageSet SetOf(const Samples& s) { return {kSet, 3, 8, 8, s.bytes.data(), s.labels.data()}; }

// The batch that those samples are, copied.
Samples Pick(const Samples& set, const std::vector<uint32_t>& ids) {
  Samples s(0, 0);
  s.ids = ids;
  for (uint32_t id : ids) {
    s.labels.push_back(set.labels[id]);
    s.bytes.insert(s.bytes.end(), set.bytes.begin() + id * kPixels, set.bytes.begin() + (id + 1) * kPixels);
  }
  return s;
}

struct Training {
  std::shared_ptr<Network> student, teacher;
  std::unique_ptr<Trainer> trainer;
  explicit Training(const std::string& device_name, const std::string& more = "") {
    const auto device = MakeDevice(device_name);
    student = TinyNetwork(device, 1, 4, 0.2), teacher = TinyNetwork(device, 2);
    EXPECT_OK(Trainer::Create(device, "kd", Text(kOptions + (" " + more)), {{"student", student}, {"teacher", teacher}},
                              &trainer));
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, OnDevice, kDevices, DeviceName);

TEST_P(OnDevice, SamplesBytesAndFloatsGiveTheSameBits) {
  const Samples set(0, kSet);
  Training samples(GetParam()), bytes(GetParam()), floats(GetParam()), mixed(GetParam());
  ASSERT_OK(samples.trainer->Attach(SetOf(set)));
  ASSERT_OK(mixed.trainer->Attach(SetOf(set)));
  TrainingOptions o;
  ASSERT_OK(ReadTrainingOptions(Text(kOptions), &o, nullptr));
  Augmenter augmenter;
  ASSERT_OK(Augmenter::Create(o, 3, 8, 8, &augmenter));
  for (size_t k = 0; k < kSteps.size(); ++k) {
    const auto& ids = kSteps[k];
    const auto n = static_cast<int64_t>(ids.size());
    Samples batch = Pick(set, ids);
    batch.real.resize(batch.bytes.size());
    for (size_t i = 0; i < ids.size(); ++i)
      augmenter.Run(&batch.bytes[i * kPixels], static_cast<uint32_t>(k / 2), ids[i], &batch.real[i * kPixels]);
    StepResult result;
    ASSERT_OK(samples.trainer->StepSamples(ids.data(), n, &result));
    EXPECT_EQ(result.step, static_cast<int64_t>(k));
    ASSERT_OK(bytes.trainer->Step(batch.Bytes(), nullptr));
    ASSERT_OK(floats.trainer->Step(batch.Floats(), nullptr));
    ASSERT_OK(k % 2 ? mixed.trainer->StepSamples(ids.data(), n, nullptr) : mixed.trainer->Step(batch.Bytes(), nullptr));
    for (const Training* t : {&bytes, &floats, &mixed}) EXPECT_EQ(TermsOf(*samples.trainer), TermsOf(*t->trainer)) << k;
  }
  for (const Training* t : {&bytes, &floats, &mixed}) EXPECT_EQ(DigestOf(*samples.student), DigestOf(*t->student));
  EXPECT_NE(DigestOf(*samples.student), DigestOf(*Training(GetParam()).student));
}

TEST_P(OnDevice, InferenceOfBytesIsThatOfTheirFloats) {
  Samples s(0, 5);
  const auto network = TinyNetwork(MakeDevice(GetParam()), 1);
  std::unique_ptr<Inference> inference;
  ASSERT_OK(Inference::Create(network, 7, Text("mean=0.4,0.5,0.6 std=0.2"), &inference));
  Augmenter normalizer;
  ASSERT_OK(Augmenter::Create({0.4, 0.5, 0.6}, {0.2}, 3, 8, 8, &normalizer));
  for (size_t i = 0; i < 5; ++i) normalizer.Run(&s.bytes[i * kPixels], 0, 0, &s.real[i * kPixels]);
  std::vector<float> of_bytes(5 * 5), of_floats(5 * 5);
  ASSERT_OK(inference->Run(s.Bytes()));
  ASSERT_OK(inference->Output("logits", of_bytes));
  ASSERT_OK(inference->Run(s.Floats()));
  ASSERT_OK(inference->Output("logits", of_floats));
  EXPECT_EQ(of_bytes, of_floats);
}

TEST_P(OnDevice, ARunGoesOnFromItsCheckpoint) {
  const Samples set(0, kSet);
  Training whole(GetParam()), resumed(GetParam());
  const std::string path = TempPath("samples_" + std::to_string(getpid()));
  ASSERT_OK(whole.trainer->Attach(SetOf(set)));
  auto step = [](Training& t, size_t k) {
    return t.trainer->StepSamples(kSteps[k].data(), static_cast<int64_t>(kSteps[k].size()), nullptr);
  };
  for (size_t k = 0; k < 2; ++k) ASSERT_OK(step(whole, k));
  ASSERT_OK(whole.trainer->Save(path));
  ASSERT_OK(resumed.trainer->Load(path));
  ASSERT_OK(resumed.trainer->Attach(SetOf(set)));
  for (size_t k = 2; k < 4; ++k) ASSERT_OK(step(whole, k));
  for (size_t k = 2; k < 4; ++k) ASSERT_OK(step(resumed, k));
  EXPECT_EQ(DigestOf(*whole.student), DigestOf(*resumed.student));
}

TEST(Samples, MistakesAreNamed) {
  const Samples s(0, kSet);
  Training t("reference");
  const uint32_t ids[] = {0, 3, 20};
  ExpectError(t.trainer->StepSamples(ids, 2, nullptr), Code::kFailedPrecondition, "no set is attached");
  auto wrong = [&](auto change, const char* message) {
    ImageSet set = SetOf(s);
    change(&set);
    ExpectError(t.trainer->Attach(set), Code::kInvalidArgument, message);
  };
  std::vector<int32_t> labels = s.labels;
  labels[4] = 5;
  wrong([](ImageSet* set) { set->channels = 1; },
        "the set's images have 1 channel and 8x8 pixels, the networks' 3 channels and 8x8 pixels");
  wrong([](ImageSet* set) { set->height = 9; }, "9x8 pixels");
  wrong([](ImageSet* set) { set->width = -1; }, "8x-1 pixels");
  wrong([](ImageSet* set) { set->count = 0; }, "1 to 2^31 samples, this one 0");
  wrong([](ImageSet* set) { set->count = (int64_t{1} << 31) + 1; }, "1 to 2^31 samples");
  wrong([](ImageSet* set) { set->images = nullptr; }, "the set has no images");
  wrong([&](ImageSet* set) { set->labels = labels.data(); }, "label 5 of sample 4 is outside [0, 5)");
  Training counted("reference", "samples=19");
  ExpectError(counted.trainer->Attach(SetOf(s)), Code::kInvalidArgument, "the set has 20 samples, and samples=19");

  ASSERT_OK(t.trainer->Attach(SetOf(s)));
  ExpectError(t.trainer->Attach(SetOf(s)), Code::kFailedPrecondition, "attached to the trainer already");
  ExpectError(t.trainer->StepSamples(ids, 3, nullptr), Code::kInvalidArgument,
              "ids[2] is 20, and the attached set has 20 samples");
  ExpectError(t.trainer->StepSamples(ids, 0, nullptr), Code::kInvalidArgument, "at least one image");
  ExpectError(t.trainer->StepSamples(ids, -1, nullptr), Code::kInvalidArgument, "at least one image");
  EXPECT_EQ(t.trainer->step(), 0);
  ASSERT_OK(t.trainer->StepSamples(ids, 2, nullptr));

  Training unlabelled("reference");
  ImageSet set = SetOf(s);
  set.labels = nullptr;
  ASSERT_OK(unlabelled.trainer->Attach(set));
  ExpectError(unlabelled.trainer->StepSamples(ids, 2, nullptr), Code::kInvalidArgument, "no labels");
}

}  // namespace
}  // namespace distil
