// Which samples, in which order: epoch shuffles and balanced subsets. Pure functions of their arguments.
#include <algorithm>
#include <numeric>
#include <utility>

#include "data/loader.h"
#include "data/words.h"

namespace distil::data {
namespace {

void FisherYates(uint32_t* values, size_t n, Words words) {
  for (size_t i = n; i > 1; --i) std::swap(values[i - 1], values[ToRange(words.Next(), static_cast<uint32_t>(i))]);
}

}  // namespace

BlockShuffle DefaultBlocks(size_t sample_bytes) {
  constexpr int64_t kBlockBytes = 1 << 20, kWindowBytes = 64 << 20;
  BlockShuffle blocks;
  const int64_t bytes = std::max<int64_t>(1, static_cast<int64_t>(sample_bytes));
  blocks.block = std::max<int64_t>(1, kBlockBytes / bytes);
  blocks.window = std::max<int64_t>(2, kWindowBytes / (blocks.block * bytes));
  return blocks;
}

// b of the stream: 0 for the plain shuffle and the shuffle of blocks, 1 + w inside window w.
std::vector<uint32_t> EpochOrder(int64_t n, uint64_t seed, uint32_t epoch, const BlockShuffle& blocks,
                                 std::vector<int64_t>* window_ends) {
  std::vector<uint32_t> order(static_cast<size_t>(std::max<int64_t>(n, 0)));
  const Words top(seed, Purpose::kShuffle, epoch, 0);
  if (blocks.block <= 0) {
    std::iota(order.begin(), order.end(), 0u);
    FisherYates(order.data(), order.size(), top);
    return order;
  }
  const int64_t count = (n + blocks.block - 1) / blocks.block;
  std::vector<uint32_t> shuffled(static_cast<size_t>(count));
  std::iota(shuffled.begin(), shuffled.end(), 0u);
  FisherYates(shuffled.data(), shuffled.size(), top);
  size_t at = 0, window_begin = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t first = shuffled[static_cast<size_t>(i)] * blocks.block;
    for (int64_t j = first; j < std::min(first + blocks.block, n); ++j) order[at++] = static_cast<uint32_t>(j);
    if ((i + 1) % std::max<int64_t>(1, blocks.window) == 0 || i + 1 == count) {
      const auto w = static_cast<uint32_t>(i / std::max<int64_t>(1, blocks.window));
      FisherYates(order.data() + window_begin, at - window_begin, Words(seed, Purpose::kShuffle, epoch, 1 + w));
      window_begin = at;
      if (window_ends) window_ends->push_back(static_cast<int64_t>(at));
    }
  }
  return order;
}

// Samples of each class are shuffled, then dealt round by round: every class gives its r-th sample before any
// class gives its (r+1)-th. Taking the first `size` is balanced, and smaller sizes nest.
Status BalancedSubset(const std::vector<int32_t>& labels, int num_classes, int64_t size, uint64_t seed,
                      std::vector<uint32_t>* subset) {
  const auto n = static_cast<int64_t>(labels.size());
  if (size < 1 || size > n) {
    return InvalidArgument("a subset of " + std::to_string(size) + " samples cannot be taken from " +
                           std::to_string(n));
  }
  DISTIL_RETURN_IF_ERROR(CheckLabels(labels, num_classes, "subset"));
  std::vector<std::vector<uint32_t>> by_class(static_cast<size_t>(num_classes));
  for (size_t i = 0; i < labels.size(); ++i) {
    by_class[static_cast<size_t>(labels[i])].push_back(static_cast<uint32_t>(i));
  }
  std::vector<uint32_t> turn(by_class.size());  // who goes first when a round cannot be finished
  std::iota(turn.begin(), turn.end(), 0u);
  FisherYates(turn.data(), turn.size(), Words(seed, Purpose::kSubset, UINT32_MAX, 0));
  for (size_t c = 0; c < by_class.size(); ++c) {
    FisherYates(by_class[c].data(), by_class[c].size(), Words(seed, Purpose::kSubset, static_cast<uint32_t>(c), 0));
  }
  subset->clear();
  for (size_t round = 0; static_cast<int64_t>(subset->size()) < size; ++round) {
    for (uint32_t c : turn) {
      if (round < by_class[c].size() && static_cast<int64_t>(subset->size()) < size) {
        subset->push_back(by_class[c][round]);
      }
    }
  }
  std::sort(subset->begin(), subset->end());
  return {};
}

}  // namespace distil::data
