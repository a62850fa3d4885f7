// Hazards: which launches must wait for which, from the memory that they read and write.
//
// A launch waits for an earlier one that writes what it reads, reads what it writes, or writes what it writes. Launches
// between which no such path leads may run at the same time.
#pragma once

#include <cstddef>
#include <vector>

namespace distil::cuda {

struct Range {
  const void* begin;
  size_t bytes;
};

struct Access {
  std::vector<Range> reads, writes;
};

// For each launch, in ascending order, the earlier ones that it waits for directly: two launches with a common byte
// that one of them writes are joined by a path, and no edge could be left out.
std::vector<std::vector<int>> Dependencies(const std::vector<Access>& launches);

}  // namespace distil::cuda
