// MakeSource, and the source over a split in RAM.
#include "data/loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "data/stream.h"

namespace distil::data {
namespace {

// Gathers batches on demand: copying a batch takes microseconds, so there is nothing to prefetch.
class RamSource : public BatchSource {
 public:
  explicit RamSource(Plan plan) : plan_(std::move(plan)) {
    size_ = plan_.size();
    steps_per_epoch_ = plan_.steps();
    const auto batch = static_cast<size_t>(plan_.batch_size);
    if (plan_.gather_images) images_.resize(batch * plan_.sample_bytes);
    labels_.resize(batch);
    ids_.resize(batch);
    order_ = plan_.Order(0);
  }

  Status Seek(uint32_t epoch, int64_t step) override {
    DISTIL_RETURN_IF_ERROR(plan_.CheckStep(step));
    if (epoch != epoch_) order_ = plan_.Order(epoch);
    epoch_ = epoch;
    step_ = step;
    return {};
  }

  Status Next(Batch* batch) override {
    *batch = Batch();
    if (step_ >= steps_per_epoch_) return {};
    const int64_t first = step_ * plan_.batch_size, count = std::min(plan_.batch_size, size_ - first);
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t id = plan_.Id(order_[static_cast<size_t>(first + i)]);
      if (plan_.gather_images)
        std::memcpy(images_.data() + static_cast<size_t>(i) * plan_.sample_bytes,
                    plan_.split->images.data() + id * plan_.sample_bytes, plan_.sample_bytes);
      labels_[static_cast<size_t>(i)] = plan_.split->labels[id];
      ids_[static_cast<size_t>(i)] = id;
    }
    ++step_;
    *batch = {plan_.gather_images ? images_.data() : nullptr, labels_.data(), ids_.data(), count};
    return {};
  }

 private:
  Plan plan_;
  std::vector<uint32_t> order_;
  uint32_t epoch_ = 0;
  int64_t step_ = 0;
  std::vector<uint8_t> images_;
  std::vector<int32_t> labels_;
  std::vector<uint32_t> ids_;
};

}  // namespace

std::vector<uint32_t> Plan::Order(uint32_t epoch) const {
  if (shuffle) return EpochOrder(size(), seed, epoch, blocks);
  std::vector<uint32_t> order(static_cast<size_t>(size()));
  std::iota(order.begin(), order.end(), 0u);
  return order;
}

Status Plan::CheckStep(int64_t step) const {
  if (step >= 0 && step <= steps()) return {};
  return InvalidArgument("step " + std::to_string(step) + " does not exist: an epoch has " + std::to_string(steps()) +
                         " steps");
}

Status MakeSource(const Dataset& dataset, SplitKind kind, const LoaderOptions& options,
                  std::unique_ptr<BatchSource>* source) {
  Plan plan;
  plan.split = &dataset.split(kind);
  plan.name = SplitName(kind);
  plan.height = dataset.height, plan.width = dataset.width, plan.channels = dataset.channels;
  plan.sample_bytes = dataset.sample_bytes();
  plan.batch_size = options.batch_size;
  plan.seed = options.seed;
  plan.shuffle = options.shuffle;
  plan.drop_last = options.drop_last;
  plan.subset = options.subset;
  plan.gather_images = options.gather_images;
  const Split& split = *plan.split;
  plan.blocks = options.blocks;
  if (options.use_default_blocks) {
    plan.blocks = BlockShuffle();
    if (split.streamed()) plan.blocks = DefaultBlocks(plan.sample_bytes);
  }
  if (split.size() == 0) return InvalidArgument(std::string("the ") + plan.name + " split has no samples");
  if (options.batch_size < 1 || options.batch_size > (1 << 24)) {
    return InvalidArgument("a batch size of " + std::to_string(options.batch_size) + " cannot be used");
  }
  plan.batch_size = std::min(plan.batch_size, std::max<int64_t>(1, plan.drop_last ? INT64_MAX : plan.size()));
  for (size_t i = 0; i < plan.subset.size(); ++i) {
    if (plan.subset[i] >= split.size() || (i > 0 && plan.subset[i] <= plan.subset[i - 1])) {
      return InvalidArgument("the subset must be strictly increasing indices below " + std::to_string(split.size()) +
                             ", but entry " + std::to_string(i) + " is " + std::to_string(plan.subset[i]));
    }
  }
  if (plan.steps() == 0) {
    return InvalidArgument("a batch of " + std::to_string(plan.batch_size) + " is larger than the " +
                           std::to_string(plan.size()) + " samples, and incomplete batches are left out");
  }
  if (plan.shuffle && (plan.blocks.block < 0 || (plan.blocks.block > 0 && plan.blocks.window < 1))) {
    return InvalidArgument("a block shuffle needs a block of 0 or more samples and a window of 1 or more blocks");
  }
  if (split.streamed() && !plan.gather_images)
    return InvalidArgument(std::string("the ") + plan.name + " split is streamed: its batches are made of images");
  if (split.streamed()) return MakeStreamSource(std::move(plan), source);
  if (split.images.size() != static_cast<size_t>(split.size()) * plan.sample_bytes) {
    return InvalidArgument(std::string("the ") + plan.name + " split holds labels but no images");
  }
  *source = std::make_unique<RamSource>(std::move(plan));
  return {};
}

}  // namespace distil::data
