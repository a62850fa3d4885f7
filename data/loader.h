// Batches of a split in a deterministic order.
//
// The order of an epoch is a pure function of (sample list, seed, epoch, block shuffle): it does not depend
// on prefetch timing, on where reading began, or on whether images come from RAM or from a file. So a run
// that stopped at (epoch, step) continues with Seek(epoch, step) and sees the very same batches.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace distil::data {

// Shuffling a file larger than RAM: cut the sample list into blocks, shuffle the blocks, then shuffle samples
// inside windows of `window` consecutive blocks. block = 0 is the plain shuffle of everything. The same block
// shuffle gives the same order in RAM and streamed.
struct BlockShuffle {
  int64_t block = 0;    // samples per block
  int64_t window = 16;  // blocks per window
};

// The block shuffle that streaming uses by default: about 1 MiB per block, 64 MiB per window.
BlockShuffle DefaultBlocks(size_t sample_bytes);

struct LoaderOptions {
  int64_t batch_size = 64;
  uint64_t seed = 0;
  bool shuffle = true;             // false: samples in the order of the list (evaluation)
  bool drop_last = false;          // true: an incomplete last batch is left out
  bool use_default_blocks = true;  // block shuffle: DefaultBlocks when the split is streamed, none in RAM
  BlockShuffle blocks;             // used when use_default_blocks is false
  std::vector<uint32_t> subset;    // indices into the split, strictly increasing; empty means all samples
  bool gather_images = true;       // false, for splits in RAM only: batches have labels and ids, and no images
};

// Valid until the next call to Next or Seek on the same source.
struct Batch {
  const uint8_t* images = nullptr;  // count x H x W x C, unless they are not gathered
  const int32_t* labels = nullptr;
  const uint32_t* ids = nullptr;  // index of each sample in its split
  int64_t count = 0;              // 0: the epoch is over
};

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Go to the beginning of batch `step` of `epoch`. step == steps_per_epoch() is the end of the epoch. A new
  // source stands at (0, 0). Reading the epochs in turn keeps the prefetch busy across their border.
  virtual Status Seek(uint32_t epoch, int64_t step) = 0;
  // The next batch of this epoch; count == 0 at its end, until Seek.
  virtual Status Next(Batch* batch) = 0;

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t size() const { return size_; }  // samples in the list (subset or split)

 protected:
  int64_t steps_per_epoch_ = 0, size_ = 0;
};

// A source over one split, which must outlive it. In RAM batches are gathered on demand; a streamed split is
// read ahead by one thread, the only one to touch HDF5.
Status MakeSource(const Dataset& dataset, SplitKind kind, const LoaderOptions& options,
                  std::unique_ptr<BatchSource>* source);

// The order of `epoch` as positions 0..n-1 of a sample list: Fisher-Yates with Philox, Purpose::kShuffle.
// With blocks, *window_ends (may be null) gets the end of each window in that order.
std::vector<uint32_t> EpochOrder(int64_t n, uint64_t seed, uint32_t epoch, const BlockShuffle& blocks,
                                 std::vector<int64_t>* window_ends = nullptr);

// `size` samples with every class as equally present as the labels allow, chosen by `seed`
// (Purpose::kSubset), in increasing order. A smaller subset of the same seed lies inside a larger one.
Status BalancedSubset(const std::vector<int32_t>& labels, int num_classes, int64_t size, uint64_t seed,
                      std::vector<uint32_t>* subset);

}  // namespace distil::data
