// Batches from RAM: order, subsets, edges. That streamed batches are the same: stream_test.cc.
#include "data/loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "tests/data/util.h"

namespace distil::data {
namespace {

std::vector<uint32_t> Ids(BatchSource* source) {
  std::vector<uint32_t> ids;
  for (Batch batch;;) {
    EXPECT_OK(source->Next(&batch));
    if (batch.count == 0) return ids;
    ids.insert(ids.end(), batch.ids, batch.ids + batch.count);
  }
}

std::unique_ptr<BatchSource> Make(const Dataset& d, const LoaderOptions& options, SplitKind kind = SplitKind::kTrain) {
  std::unique_ptr<BatchSource> source;
  EXPECT_OK(MakeSource(d, kind, options, &source));
  return source;
}

bool IsPermutation(std::vector<uint32_t> ids, uint32_t n) {
  std::sort(ids.begin(), ids.end());
  std::vector<uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0u);
  return ids == all;
}

TEST(Order, KnownValues) {  // a change here changes every result that was ever recorded
  EXPECT_EQ(EpochOrder(10, 1, 0, {}), (std::vector<uint32_t>{6, 7, 0, 4, 5, 9, 8, 2, 3, 1}));
  EXPECT_EQ(EpochOrder(10, 1, 1, {}), (std::vector<uint32_t>{4, 0, 2, 5, 9, 1, 7, 3, 6, 8}));
  BlockShuffle blocks{3, 2};
  EXPECT_EQ(EpochOrder(10, 1, 0, blocks), (std::vector<uint32_t>{9, 6, 8, 7, 5, 3, 4, 1, 0, 2}));
}

TEST(Order, PermutationForEverySize) {
  for (int64_t n : {0, 1, 2, 7, 64, 1000}) {
    for (int64_t block : {0, 1, 3, 64, 5000}) {
      for (int64_t window : {1, 2, 16}) {
        std::vector<int64_t> ends;
        EXPECT_TRUE(IsPermutation(EpochOrder(n, 5, 2, {block, window}, &ends), static_cast<uint32_t>(n)));
        if (block > 0 && n > 0) {
          EXPECT_EQ(ends.back(), n);
        }
      }
    }
  }
}

TEST(Order,
     UniformFirstPlace) {  // chi-square over 4000 epochs, 9 degrees of freedom: below 27.9 with p = 0.999
  int count[10] = {};
  for (uint32_t epoch = 0; epoch < 4000; ++epoch) ++count[EpochOrder(10, 3, epoch, {})[0]];
  double chi = 0;
  for (int c : count) chi += (c - 400.0) * (c - 400.0) / 400.0;
  EXPECT_LT(chi, 27.9);
}

TEST(Order, WindowsKeepBlocksTogether) {
  std::vector<int64_t> ends;
  const auto order = EpochOrder(1000, 9, 0, {10, 4}, &ends);
  ASSERT_EQ(ends.size(), 25u);
  for (size_t w = 0; w < ends.size(); ++w) {
    std::set<uint32_t> blocks;
    for (int64_t i = w ? ends[w - 1] : 0; i < ends[w]; ++i) blocks.insert(order[static_cast<size_t>(i)] / 10);
    EXPECT_EQ(blocks.size(), 4u);
  }
}

TEST(Loader, BatchesHoldTheRightSamples) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  options.batch_size = 8;
  options.seed = 11;
  auto source = Make(d, options);
  EXPECT_EQ(source->size(), 50);
  EXPECT_EQ(source->steps_per_epoch(), 7);
  std::vector<int64_t> counts;
  std::vector<uint32_t> ids;
  for (Batch batch;;) {
    ASSERT_OK(source->Next(&batch));
    if (batch.count == 0) break;
    counts.push_back(batch.count);
    for (int64_t i = 0; i < batch.count; ++i) {
      ids.push_back(batch.ids[i]);
      EXPECT_EQ(batch.labels[i], d.train().labels[batch.ids[i]]);
      EXPECT_EQ(std::memcmp(batch.images + i * 60, d.train().images.data() + batch.ids[i] * 60, 60), 0);
    }
  }
  EXPECT_EQ(counts, (std::vector<int64_t>{8, 8, 8, 8, 8, 8, 2}));
  EXPECT_EQ(ids, EpochOrder(50, 11, 0, {}));
  Batch batch;
  ASSERT_OK(source->Next(&batch));  // the end stays the end
  EXPECT_EQ(batch.count, 0);
}

TEST(Loader, IdsWithoutImages) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  options.batch_size = 8, options.seed = 11;
  auto whole = Make(d, options);
  options.gather_images = false;
  auto source = Make(d, options);
  for (Batch a, b;;) {
    ASSERT_OK(whole->Next(&a));
    ASSERT_OK(source->Next(&b));
    ASSERT_EQ(a.count, b.count);
    if (a.count == 0) break;
    EXPECT_EQ(b.images, nullptr);
    EXPECT_TRUE(std::equal(a.ids, a.ids + a.count, b.ids));
    EXPECT_TRUE(std::equal(a.labels, a.labels + a.count, b.labels));
  }
}

TEST(Loader, DropLastAndNoShuffle) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  options.batch_size = 8;
  options.shuffle = false;
  options.drop_last = true;
  auto source = Make(d, options, SplitKind::kTest);
  EXPECT_EQ(source->steps_per_epoch(), 2);
  std::vector<uint32_t> first(16);
  std::iota(first.begin(), first.end(), 0u);
  EXPECT_EQ(Ids(source.get()), first);
}

TEST(Loader, SeedAndEpochDecide) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  auto a = Make(d, options), b = Make(d, options);
  options.seed = 1;
  auto other = Make(d, options);
  const auto epoch0 = Ids(a.get());
  EXPECT_EQ(epoch0, Ids(b.get()));
  EXPECT_NE(epoch0, Ids(other.get()));
  ASSERT_OK(a->Seek(1, 0));
  const auto epoch1 = Ids(a.get());
  EXPECT_NE(epoch0, epoch1);
  ASSERT_OK(a->Seek(0, 0));
  EXPECT_EQ(Ids(a.get()), epoch0);
}

TEST(Loader, ResumeFromAnyStep) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  options.batch_size = 7;
  auto whole = Make(d, options);
  ASSERT_OK(whole->Seek(3, 0));
  const auto ids = Ids(whole.get());
  for (int64_t step = 0; step <= whole->steps_per_epoch(); ++step) {
    auto resumed = Make(d, options);
    ASSERT_OK(resumed->Seek(3, step));
    const auto rest = Ids(resumed.get());
    const auto from = std::min<int64_t>(50, step * 7);
    EXPECT_EQ(rest, std::vector<uint32_t>(ids.begin() + from, ids.end()));
  }
  ExpectError(whole->Seek(0, 9), Code::kInvalidArgument, {"step 9", "8 steps"});
  ExpectError(whole->Seek(0, -1), Code::kInvalidArgument, {"step -1"});
}

TEST(Loader, SubsetOnly) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  options.batch_size = 4;
  options.subset = {3, 7, 8, 40, 49};
  auto source = Make(d, options);
  EXPECT_EQ(source->size(), 5);
  auto ids = Ids(source.get());
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, options.subset);
}

TEST(Loader, Misuse) {
  const Dataset d = Toy(50, 20);
  std::unique_ptr<BatchSource> source;
  LoaderOptions options;
  ExpectError(MakeSource(d, SplitKind::kVal, options, &source), Code::kInvalidArgument, {"val", "no samples"});
  options.batch_size = 0;
  ExpectError(MakeSource(d, SplitKind::kTrain, options, &source), Code::kInvalidArgument, {"batch size of 0"});
  options.batch_size = 64;
  options.drop_last = true;
  ExpectError(MakeSource(d, SplitKind::kTrain, options, &source), Code::kInvalidArgument,
              {"batch of 64", "50 samples"});
  options.drop_last = false;
  options.subset = {1, 1};
  ExpectError(MakeSource(d, SplitKind::kTrain, options, &source), Code::kInvalidArgument, {"strictly increasing"});
  options.subset = {50};
  ExpectError(MakeSource(d, SplitKind::kTrain, options, &source), Code::kInvalidArgument,
              {"below 50", "entry 0 is 50"});
  options.subset = {};
  options.use_default_blocks = false;
  options.blocks = {4, 0};
  ExpectError(MakeSource(d, SplitKind::kTrain, options, &source), Code::kInvalidArgument, {"window of 1 or more"});
  Dataset hollow = d;
  hollow.train().images.clear();
  ExpectError(MakeSource(hollow, SplitKind::kTrain, {}, &source), Code::kInvalidArgument, {"labels but no images"});
}

TEST(Loader, BatchLargerThanTheSplit) {
  const Dataset d = Toy(50, 20);
  LoaderOptions options;
  options.batch_size = 1 << 24;
  auto source = Make(d, options);
  Batch batch;
  ASSERT_OK(source->Next(&batch));
  EXPECT_EQ(batch.count, 50);
}

TEST(Subset, BalancedNestedDeterministic) {
  std::vector<int32_t> labels;
  for (int i = 0; i < 100; ++i) labels.push_back(i % 4);
  for (int i = 0; i < 3; ++i) labels.push_back(4);  // a rare class
  std::vector<uint32_t> small, large, again;
  ASSERT_OK(BalancedSubset(labels, 5, 10, 1, &small));
  ASSERT_OK(BalancedSubset(labels, 5, 43, 1, &large));
  ASSERT_OK(BalancedSubset(labels, 5, 43, 1, &again));
  EXPECT_EQ(large, again);
  EXPECT_TRUE(std::includes(large.begin(), large.end(), small.begin(), small.end()));
  const auto count = [&](const std::vector<uint32_t>& subset) {
    std::vector<int32_t> chosen;
    for (uint32_t i : subset) chosen.push_back(labels[i]);
    return ClassCounts(chosen, 5);
  };
  EXPECT_EQ(count(small), (std::vector<int64_t>{2, 2, 2, 2, 2}));
  EXPECT_EQ(count(large), (std::vector<int64_t>{10, 10, 10, 10, 3}));
  ASSERT_OK(BalancedSubset(labels, 5, 43, 2, &again));
  EXPECT_NE(large, again);
  ASSERT_OK(BalancedSubset(labels, 5, 103, 1, &large));
  EXPECT_TRUE(IsPermutation(large, 103));
}

TEST(Subset, Misuse) {
  std::vector<uint32_t> subset;
  ExpectError(BalancedSubset({0, 1}, 2, 0, 1, &subset), Code::kInvalidArgument, {"subset of 0"});
  ExpectError(BalancedSubset({0, 1}, 2, 3, 1, &subset), Code::kInvalidArgument, {"subset of 3", "from 2"});
  ExpectError(BalancedSubset({0, 2}, 2, 1, 1, &subset), Code::kCorrupt, {"index 1 is 2"});
}

}  // namespace
}  // namespace distil::data
