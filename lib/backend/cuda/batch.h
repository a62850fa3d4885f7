// Batch: many small launches of equal code as one. An optimiser's update of a network is a node per parameter, and
// launching them one by one would cost more than computing them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/backend/backend.h"

namespace distil::cuda {

// Launches with more elements than this are worth one of their own.
inline constexpr int64_t kBatchElements = 1 << 18;

// The launches 0, 1, ... in an order that respects `waits` (hazards.h), as groups: launches of a group have equal keys
// and do not wait for one another. A launch with an empty key is alone.
std::vector<std::vector<int>> Batch(const std::vector<std::string_view>& keys,
                                    const std::vector<std::vector<int>>& waits);

// What a launch for many nodes reads (fused_code.h): a row of arguments for each, and for each block a row's number and
// a piece's.
struct BatchTable {
  std::vector<uint64_t> rows;
  std::vector<uint32_t> blocks;  // in pairs
  uint32_t row_count = 0;

  void Add(const std::vector<uint64_t>& arguments, int64_t pieces);
  int64_t block_count() const { return static_cast<int64_t>(blocks.size()) / 2; }
};

}  // namespace distil::cuda
