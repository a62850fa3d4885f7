// Random words one after another: one stream (seed, purpose, a, b) of lib/base/random.h, four words per
// Philox call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/base/random.h"

namespace distil::data {

class Words {
 public:
  Words(uint64_t seed, Purpose purpose, uint32_t a, uint32_t b) : seed_(seed), purpose_(purpose), a_(a), b_(b) {}

  uint32_t Next() {
    if (next_ == 4) {
      four_ = RandomWords(seed_, purpose_, a_, b_, index_++);
      next_ = 0;
    }
    return four_[next_++];
  }
  float Unit() { return ToUnit(Next()); }  // [0, 1)
  float Between(float low, float high) { return low + (high - low) * Unit(); }
  int Below(int n) { return static_cast<int>(ToRange(Next(), static_cast<uint32_t>(n))); }

 private:
  uint64_t seed_;
  Purpose purpose_;
  uint32_t a_, b_, index_ = 0;
  std::array<uint32_t, 4> four_{};
  size_t next_ = 4;
};

}  // namespace distil::data
