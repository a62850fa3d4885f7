// The GPU's feed and its kernel, the one on a runtime that stands for a GPU (fake_cuda.h), the other run by the host:
// images get the bits that images.h gives them, whichever way they come. And the way back, of steps' results.
#include "lib/backend/cuda/image_feed.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "lib/backend/cuda/kernels/emulation.h"
#include "lib/backend/cuda/readback.h"
#include "tests/cuda/fake_cuda.h"

namespace distil::cuda {
namespace {

#define ASSERT_OK(call)                     \
  do {                                      \
    const Status ok_ = (call);              \
    ASSERT_TRUE(ok_.ok()) << ok_.message(); \
  } while (0)

constexpr int kChannels = 3, kHeight = 9, kWidth = 40;
constexpr size_t kEach = size_t{kChannels} * kHeight * kWidth;
constexpr int64_t kSet = 30;

class Feed : public testing::Test {
 protected:
  void SetUp() override {
    fake::SetUp();
    ASSERT_OK(Context::Open(0, &context_));

    for (int i = 0; i < kChannels * 256; ++i) table_.push_back(static_cast<float>(i) / 7.0f - 20.0f);
    change_.channels = kChannels, change_.height = kHeight, change_.width = kWidth;
    change_.table = table_.data(), change_.scale = scale_, change_.shift = shift_;
    change_.seed = 5, change_.pad = 4, change_.flip = 0.5f, change_.cutout = 4;
    for (size_t i = 0; i < kSet * kEach; ++i) images_.push_back(static_cast<uint8_t>(i * 2654435761u >> 15));
    for (int32_t i = 0; i < kSet; ++i) labels_.push_back(i * i % 17);
  }
  void TearDown() override { emulation::backwards = false; }

  std::vector<float> Wanted(const uint8_t* image, uint32_t epoch, uint32_t id) const {
    std::vector<float> out(kEach);
    const ImageDraw d = DrawImage(change_, epoch, id);
    const float mean = d.before_contrast < 0 ? 0 : GreyMean(change_, GreySum(change_, d, image, 0, 1));
    for (int y = 0; y < kHeight; ++y) WriteRow(change_, d, mean, image, y, 0, 1, out.data());
    return out;
  }
  // Fills with these samples and looks at every number.
  void Check(ImageFeed* feed, const ImageFeed::Batch& batch) {
    const auto n = static_cast<size_t>(batch.count);
    std::vector<float> images(n * kEach, -1e9f);
    std::vector<int32_t> labels(n), ids(n);
    ASSERT_OK(feed->Fill(batch, {images.data(), labels.data(), ids.data()}));
    for (size_t i = 0; i < n; ++i) {
      const size_t place = batch.by_id || !batch.images ? batch.ids[i] : i;
      const std::vector<float> want = Wanted(&images_[place * kEach], batch.epoch, batch.ids[i]);
      EXPECT_EQ(std::memcmp(&images[i * kEach], want.data(), kEach * sizeof(float)), 0) << i;
      EXPECT_EQ(labels[i], labels_[place]);
      EXPECT_EQ(ids[i], static_cast<int32_t>(batch.ids[i]));
    }
  }
  // Batches of different sizes, one after another, by place and by id; then of the kept set.
  void CheckAll() {
    std::unique_ptr<ImageFeed> feed;
    ASSERT_OK(MakeImageFeed(context_, change_, &feed));
    const std::vector<uint32_t> ids = {29, 3, 3, 0, 17, 22, 5};
    for (const bool kept : {false, true}) {
      if (kept) {
        bool is_kept = false;
        ASSERT_OK(feed->Keep(images_.data(), labels_.data(), kSet, &is_kept));
        ASSERT_TRUE(is_kept);
      }
      for (uint32_t epoch = 0; epoch < 5; ++epoch) {
        ImageFeed::Batch batch;
        batch.count = 2 + epoch, batch.ids = ids.data(), batch.epoch = epoch;
        if (kept && epoch % 2) {
          Check(feed.get(), batch);
          continue;
        }
        batch.images = images_.data(), batch.labels = labels_.data(), batch.by_id = epoch % 3 == 0;
        Check(feed.get(), batch);
      }
    }
  }

  std::shared_ptr<Context> context_;
  ImageChange change_;
  std::vector<float> table_;
  const float scale_[3] = {2, 3, 5}, shift_[3] = {-1, 0.25f, 7};
  std::vector<uint8_t> images_;
  std::vector<int32_t> labels_;
};

TEST_F(Feed, CropsFlipsAndCuts) { CheckAll(); }

TEST_F(Feed, Colours) {
  change_.jitter = true, change_.reflect = true;
  for (int i : {0, 1, 2, 3}) change_.strength[i] = 0.4f;
  CheckAll();
}

TEST_F(Feed, OrderOfThreadsDoesNotMatter) {
  change_.jitter = true, change_.strength[1] = 0.5f;
  emulation::backwards = true;
  CheckAll();
}

TEST_F(Feed, OnlyWhatIsWanted) {
  std::unique_ptr<ImageFeed> feed;
  ASSERT_OK(MakeImageFeed(context_, change_, &feed));
  const uint32_t ids[] = {4};
  ImageFeed::Batch batch;
  batch.count = 1, batch.ids = ids, batch.images = images_.data();
  int32_t id = 0;
  ASSERT_OK(feed->Fill(batch, {nullptr, nullptr, &id}));
  EXPECT_EQ(id, 4);
}

TEST_F(Feed, ASetThatIsTooLargeIsNotKept) {
  std::unique_ptr<ImageFeed> feed;
  ASSERT_OK(MakeImageFeed(context_, change_, &feed));
  const size_t streamed = feed->bytes(8);
  for (const size_t memory : {4 * images_.size(), size_t{8} * images_.size()}) {  // labels come on top
    fake::machine.memory = memory;
    bool kept;
    ASSERT_OK(feed->Keep(images_.data(), labels_.data(), kSet, &kept));
    EXPECT_EQ(kept, memory > 4 * images_.size());
    if (!kept) {
      EXPECT_EQ(feed->bytes(8), streamed);
    }
  }
  EXPECT_GE(feed->bytes(8), images_.size());
  EXPECT_LT(feed->bytes(8), images_.size() + streamed);
}

TEST_F(Feed, ResultsComeBack) {
  std::unique_ptr<Readback> ring;
  ASSERT_OK(MakeReadback(context_, 3 * sizeof(float), 2, &ring));
  float device[3] = {1, 2, 3};
  bool there = true;
  for (size_t slot : {0, 1}) {
    device[0] = static_cast<float>(slot);
    ASSERT_OK(ring->Start(slot, device));
  }
  fake::machine.at_query = cudaErrorNotReady;
  ASSERT_OK(ring->Poll(0, false, &there));
  EXPECT_FALSE(there);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);  // it would be taken for that of the next launch
  ASSERT_OK(ring->Poll(0, true, &there));
  EXPECT_TRUE(there);
  ASSERT_OK(ring->Poll(1, false, &there));
  EXPECT_TRUE(there);
  for (size_t slot : {0, 1}) {
    const auto* got = static_cast<const float*>(ring->data(slot));
    EXPECT_EQ(got[0], static_cast<float>(slot));
    EXPECT_EQ(got[2], 3);
  }
  fake::machine.at_query = cudaErrorIllegalAddress;
  EXPECT_EQ(ring->Poll(1, false, &there).code(), Code::kDeviceLost);
  fake::machine = {};
}

}  // namespace
}  // namespace distil::cuda
