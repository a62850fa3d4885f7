// The kernel that prepares images, run thread by thread on the host: it gives the bits of the augmenter, and a device
// that feeds its programs by it trains as one that does not.
#include "lib/backend/cuda/prepare.h"

#include <cstring>

#include "tests/train/forwarding.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

using cuda::Pack;
using cuda::Packing;
using cuda::PackingOf;
using cuda::Prepare;

// What cuda/image_feed.cc does, on memory of the host.
class EmulatedFeed : public ImageFeed {
 public:
  EmulatedFeed(const ImageChange& change, bool keeps) : change_(change), keeps_(keeps) {}

  Status Keep(const uint8_t* images, const int32_t* labels, int64_t count, bool* kept) override {
    *kept = keeps_;
    if (!keeps_) return {};
    images_.assign(images, images + static_cast<size_t>(count) * each());
    labels_.assign(labels, labels + count);
    return {};
  }
  Status Fill(const Batch& batch, const Target& target) override {
    const Packing p = PackingOf(batch, each());
    piece_.assign(p.bytes, 0xee);
    Pack(batch, each(), reinterpret_cast<char*>(piece_.data()));
    Prepare prepare{change_,     target, images_.data(), labels_.data(), reinterpret_cast<uint32_t*>(piece_.data()),
                    batch.epoch, true};
    if (batch.images) {
      prepare.images = &piece_[p.images], prepare.labels = reinterpret_cast<int32_t*>(&piece_[p.labels]);
      prepare.by_id = false;
    }
    for (int64_t b = batch.count; b-- > 0;) {
      int64_t grey = 0;
      for (int t = Prepare::kThreads; t-- > 0 && prepare.NeedsGrey();) grey += prepare.Grey(b, t);
      for (int t = Prepare::kThreads; t-- > 0;) prepare.Write(b, t, grey);
    }
    ++fills;
    return {};
  }
  size_t bytes(int64_t) const override { return 1000; }

  inline static int fills = 0;

 private:
  size_t each() const {
    return static_cast<size_t>(change_.height) * static_cast<size_t>(change_.width) *
           static_cast<size_t>(change_.channels);
  }
  ImageChange change_;
  bool keeps_;
  std::vector<uint8_t> images_, piece_;
  std::vector<int32_t> labels_;
};

TEST(Prepare, GivesTheBitsOfTheAugmenter) {
  const char* cases[] = {"",
                         "crop_pad=3 flip=0.5",
                         "crop_pad=3 crop_mode=reflect flip=0.5 cutout=5",
                         "brightness=0.5 crop_pad=2",
                         "brightness=0.4 contrast=0.4 crop_pad=2 flip=0.5 cutout=3",
                         "brightness=0.4 contrast=0.6 saturation=0.4 hue=0.3 crop_pad=2 flip=0.5 cutout=3"};
  constexpr int64_t kCount = 40;
  constexpr struct { int64_t c, h, w; } kShapes[] = {{3, 8, 8}, {3, 5, 70}, {1, 28, 28}, {3, 33, 33}, {4, 9, 6}};
  for (const auto& [c, h, w] : kShapes) {
    const auto each = static_cast<size_t>(c * h * w);
    const Samples set(0, kCount, c * h * w);
    for (const char* text : cases) {
      SCOPED_TRACE(std::to_string(c) + "x" + std::to_string(h) + "x" + std::to_string(w) + " " + text);
      if (c != 3 && std::string(text).find("hue") != std::string::npos) continue;
      TrainingOptions o;
      ASSERT_OK(ReadTrainingOptions(Text(std::string(text) + " mean=0.4 std=0.3 seed=9"), &o, nullptr));
      Augmenter augmenter;
      ASSERT_OK(Augmenter::Create(o, c, h, w, &augmenter));
      const std::vector<uint32_t> ids = {39, 3, 3, 0, 17};
      const auto n = ids.size();
      std::vector<float> want(n * each), got(n * each), kept(n * each);
      for (size_t i = 0; i < n; ++i) augmenter.Run(&set.bytes[ids[i] * each], 6, ids[i], &want[i * each]);
      std::vector<int32_t> labels(n), numbers(n);
      EmulatedFeed feed(augmenter.change(), true);
      ImageFeed::Batch batch;
      batch.count = static_cast<int64_t>(n), batch.epoch = 6, batch.ids = ids.data();
      batch.images = set.bytes.data(), batch.labels = set.labels.data(), batch.by_id = true;
      ASSERT_OK(feed.Fill(batch, {got.data(), labels.data(), numbers.data()}));
      EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
      for (size_t i = 0; i < n; ++i) {
        EXPECT_EQ(labels[i], set.labels[ids[i]]);
        EXPECT_EQ(numbers[i], static_cast<int32_t>(ids[i]));
      }
      bool is_kept = false;
      ASSERT_OK(feed.Keep(set.bytes.data(), set.labels.data(), kCount, &is_kept));
      ASSERT_TRUE(is_kept);
      batch.images = nullptr, batch.labels = nullptr;
      std::vector<int32_t> labels_kept(n);
      ASSERT_OK(feed.Fill(batch, {kept.data(), labels_kept.data(), nullptr}));
      EXPECT_EQ(std::memcmp(kept.data(), want.data(), want.size() * sizeof(float)), 0);
      EXPECT_EQ(labels_kept, labels);
    }
  }
}

// Images come through the kernel.
class EmulatedBackend : public Forwarding {
 public:
  explicit EmulatedBackend(bool keeps) : keeps_(keeps) {}
  Status MakeImageFeed(const ImageChange& change, std::unique_ptr<ImageFeed>* out) override {
    *out = std::make_unique<EmulatedFeed>(change, keeps_);
    return {};
  }

 private:
  bool keeps_;
};

// Four steps of distillation with dropout, two on samples of an attached set, two on batches.
std::string Train(std::unique_ptr<Backend> backend, uint64_t* memory) {
  auto device = std::make_shared<Device>();
  device->backend = std::move(backend);
  const auto student = TinyNetwork(device, 1, 4, 0.3), teacher = TinyNetwork(device, 2);
  std::unique_ptr<Trainer> trainer;
  EXPECT_OK(Trainer::Create(device, "kd",
                            Text("schedule=constant lr=0.1 crop_pad=2 flip=0.5 contrast=0.3 hue=0.1 mean=0.5 std=0.3"),
                            {{"student", student}, {"teacher", teacher}}, &trainer));
  const Samples set(0, 12);
  EXPECT_OK(trainer->Attach({12, 3, 8, 8, set.bytes.data(), set.labels.data()}));
  MemoryInfo m;
  EXPECT_OK(trainer->Memory(6, &m));
  *memory = m.io;
  const uint32_t ids[2][5] = {{11, 0, 7, 3, 7}, {1, 2, 8, 9, 10}};
  for (int k = 0; k < 2; ++k) {
    EXPECT_OK(trainer->StepSamples(ids[k], 5, nullptr));
    EXPECT_OK(trainer->Step(Samples(static_cast<uint32_t>(k), 6).Bytes(), nullptr));
  }
  Batch numberless = set.Bytes();
  numberless.ids = nullptr;
  EXPECT_OK(trainer->Step(numberless, nullptr));
  EXPECT_OK(trainer->Step(set.Floats(), nullptr));
  return DigestOf(*student);
}

TEST(Prepare, TrainsAsTheHostDoes) {
  uint64_t plain, fed;
  EmulatedFeed::fills = 0;
  const std::string want = Train(MakeReferenceBackend({}, DType::kF32), &plain);
  EXPECT_EQ(EmulatedFeed::fills, 0);
  for (bool keeps : {false, true}) {
    EmulatedFeed::fills = 0;
    EXPECT_EQ(Train(std::make_unique<EmulatedBackend>(keeps), &fed), want) << keeps;
    EXPECT_EQ(EmulatedFeed::fills, 5);
    EXPECT_EQ(fed, plain + 1000);
  }
}

}  // namespace
}  // namespace distil
