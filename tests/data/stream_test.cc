// Streaming from a file: the same batches as from RAM, from any place, however the threads are timed.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "data/hdf5_file.h"
#include "data/loader.h"
#include "lib/base/random.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

// Compares whole epochs, content and all.
void ExpectSameBatches(BatchSource* a, BatchSource* b) {
  ASSERT_EQ(a->steps_per_epoch(), b->steps_per_epoch());
  for (Batch x, y;;) {
    ASSERT_OK(a->Next(&x));
    ASSERT_OK(b->Next(&y));
    ASSERT_EQ(x.count, y.count);
    if (x.count == 0) return;
    const auto n = static_cast<size_t>(x.count);
    EXPECT_EQ(std::memcmp(x.ids, y.ids, n * sizeof(uint32_t)), 0);
    EXPECT_EQ(std::memcmp(x.labels, y.labels, n * sizeof(int32_t)), 0);
    EXPECT_EQ(std::memcmp(x.images, y.images, n * 60), 0);
  }
}

class Stream : public ::testing::Test {
 protected:
  void SetUp() override {
    ram_ = Toy(700, 90);
    WriteOptions chunked;
    chunked.contiguous_limit = 0;
    ASSERT_OK(WriteDataset(ram_, folder_ / "whole.h5"));
    ASSERT_OK(WriteDataset(ram_, folder_ / "chunked.h5", chunked));
    ReadOptions options;
    options.mode = ReadOptions::Mode::kStream;
    ASSERT_OK(OpenDataset(folder_ / "whole.h5", options, &whole_));
    ASSERT_OK(OpenDataset(folder_ / "chunked.h5", options, &chunked_));
  }

  static std::unique_ptr<BatchSource> Make(const Dataset& d, const LoaderOptions& options) {
    std::unique_ptr<BatchSource> source;
    EXPECT_OK(MakeSource(d, SplitKind::kTrain, options, &source));
    return source;
  }

  static LoaderOptions Blocks(int64_t block, int64_t window) {
    LoaderOptions options;
    options.batch_size = 16;
    options.seed = 4;
    options.use_default_blocks = false;
    options.blocks = {block, window};
    return options;
  }

  TempFolder folder_;
  Dataset ram_, whole_, chunked_;
};

TEST_F(Stream, SameAsRam) {
  for (const Dataset* streamed : {&whole_, &chunked_}) {
    for (const auto& [block, window] : {std::pair<int64_t, int64_t>{0, 1}, {1, 1}, {10, 4}, {33, 3}, {1000, 2}}) {
      for (bool drop_last : {false, true}) {
        LoaderOptions options = Blocks(block, window);
        options.drop_last = drop_last;
        auto a = Make(ram_, options), b = Make(*streamed, options);
        for (uint32_t epoch = 0; epoch < 3; ++epoch) {
          ASSERT_OK(a->Seek(epoch, 0));
          ASSERT_OK(b->Seek(epoch, 0));
          ExpectSameBatches(a.get(), b.get());
        }
      }
    }
  }
}

TEST_F(Stream, SameAsRamWithoutShuffleAndWithSubset) {
  LoaderOptions options = Blocks(10, 4);
  options.shuffle = false;
  auto a = Make(ram_, options), b = Make(chunked_, options);
  ExpectSameBatches(a.get(), b.get());
  options.shuffle = true;
  ASSERT_OK(BalancedSubset(ram_.train().labels, ram_.num_classes, 123, 1, &options.subset));
  a = Make(ram_, options), b = Make(chunked_, options);
  ExpectSameBatches(a.get(), b.get());
}

TEST_F(Stream, IsMadeOfImages) {
  LoaderOptions options;
  options.gather_images = false;
  std::unique_ptr<BatchSource> source;
  ExpectError(MakeSource(whole_, SplitKind::kTrain, options, &source), Code::kInvalidArgument, {"train", "streamed"});
}

TEST_F(Stream, DefaultBlocks) {
  LoaderOptions options;
  options.blocks = DefaultBlocks(60);
  auto streamed = Make(whole_, options);
  options.use_default_blocks = false;
  auto ram = Make(ram_, options);
  ExpectSameBatches(ram.get(), streamed.get());
  EXPECT_EQ(DefaultBlocks(3072).block, 341);  // 1 MiB of CIFAR images
  EXPECT_EQ(DefaultBlocks(1 << 30).block, 1);
  EXPECT_EQ(DefaultBlocks(1 << 30).window, 2);
}

TEST_F(Stream, ResumeFromAnyStep) {
  const LoaderOptions options = Blocks(10, 4);
  auto ram = Make(ram_, options);
  for (int64_t step = 0; step <= ram->steps_per_epoch(); ++step) {
    auto resumed = Make(chunked_, options);
    ASSERT_OK(resumed->Seek(2, step));
    ASSERT_OK(ram->Seek(2, step));
    ExpectSameBatches(ram.get(), resumed.get());
  }
}

TEST_F(Stream, SeekAnywhereAnyTime) {
  const LoaderOptions options = Blocks(10, 4);
  auto a = Make(ram_, options), b = Make(whole_, options);
  for (uint32_t i = 0; i < 200; ++i) {
    const auto words = RandomWords(1, Purpose::kTest, 0, 0, i);
    const uint32_t epoch = ToRange(words[0], 3);
    const int64_t step = ToRange(words[1], static_cast<uint32_t>(a->steps_per_epoch()) + 1);
    ASSERT_OK(a->Seek(epoch, step));
    ASSERT_OK(b->Seek(epoch, step));
    for (uint32_t k = ToRange(words[2], 6); k > 0; --k) {
      Batch x, y;
      ASSERT_OK(a->Next(&x));
      ASSERT_OK(b->Next(&y));
      ASSERT_EQ(x.count, y.count);
      if (x.count > 0) {
        ASSERT_EQ(std::memcmp(x.images, y.images, static_cast<size_t>(x.count) * 60), 0);
      }
    }
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_F(Stream, SlowReaderOfBatches) {
  const LoaderOptions options = Blocks(10, 4);
  auto a = Make(ram_, options), b = Make(whole_, options);
  std::thread other([&] {  // two sources at once
    auto c = Make(ram_, options), d = Make(chunked_, options);
    ExpectSameBatches(c.get(), d.get());
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ExpectSameBatches(a.get(), b.get());
  other.join();
}

TEST_F(Stream, DestroyedAtOnce) {
  for (int i = 0; i < 50; ++i) Make(whole_, Blocks(10, 4));
}

TEST_F(Stream, FileVanished) {
  unlink((folder_ / "whole.h5").c_str());
  std::unique_ptr<BatchSource> source;
  ExpectError(MakeSource(whole_, SplitKind::kTrain, Blocks(10, 4), &source), Code::kNotFound,
              {"whole.h5", "No such file"});
}

TEST_F(Stream, FileChanged) {
  ASSERT_OK(WriteDataset(Toy(600, 90), folder_ / "whole.h5"));
  std::unique_ptr<BatchSource> source;
  ExpectError(MakeSource(whole_, SplitKind::kTrain, Blocks(10, 4), &source), Code::kCorrupt,
              {"whole.h5", "changed", "(600, 5, 4, 3)"});
}

// Damage that is only met while reading: the error comes from Next, in the caller's thread, and does not go
// away.
TEST_F(Stream, DamageFoundWhileReading) {
  Bytes bytes = ReadBytes(folder_ / "chunked.h5");
  for (size_t i = bytes.size() / 8; i < bytes.size() / 4; ++i) bytes[i] ^= 0x5a;  // in the packed images
  WriteBytes(folder_ / "chunked.h5", bytes);
  auto source = Make(chunked_, Blocks(10, 4));
  Status status;
  Batch batch;
  do {
    status = source->Next(&batch);
  } while (status.ok() && batch.count > 0);
  ExpectError(status, Code::kCorrupt, {"chunked.h5", "/train/images", "cannot be read"});
  ExpectError(source->Next(&batch), Code::kCorrupt, {"chunked.h5"});
}

}  // namespace
}  // namespace distil::data
