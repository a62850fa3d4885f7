// Inside the loader: the plan that both kinds of source follow, and the source that streams.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/loader.h"

namespace distil::data {

// LoaderOptions, checked and resolved for one split.
struct Plan {
  const Split* split = nullptr;
  const char* name = "";
  int height = 0, width = 0, channels = 0;
  size_t sample_bytes = 0;
  int64_t batch_size = 1;
  uint64_t seed = 0;
  bool shuffle = true, drop_last = false, gather_images = true;
  BlockShuffle blocks;
  std::vector<uint32_t> subset;

  int64_t size() const { return subset.empty() ? split->size() : static_cast<int64_t>(subset.size()); }
  int64_t steps() const { return drop_last ? size() / batch_size : (size() + batch_size - 1) / batch_size; }
  uint32_t Id(uint32_t position) const { return subset.empty() ? position : subset[position]; }
  std::vector<uint32_t> Order(uint32_t epoch) const;  // positions in the sample list
  Status CheckStep(int64_t step) const;
};

Status MakeStreamSource(Plan plan, std::unique_ptr<BatchSource>* source);

}  // namespace distil::data
