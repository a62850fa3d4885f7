// Which launches run together: those of equal code, in an order that every wait allows.
#include "lib/backend/cuda/batch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/ops/harness.h"

namespace distil::cuda {
namespace {

using Groups = std::vector<std::vector<int>>;

TEST(Batch, UpdatesOfAllParameters) {  // gradient, update, gradient, update, ...
  EXPECT_EQ(Batch({"", "u", "", "u", "", "u"}, {{}, {0}, {0}, {2}, {2}, {4}}), (Groups{{0}, {2}, {4}, {1, 3, 5}}));
}
TEST(Batch, StopsAtTheFirstThatWaits) {
  EXPECT_EQ(Batch({"u", "u", "", "u"}, {{}, {}, {1}, {}}), (Groups{{0, 1}, {2}, {3}}));
  EXPECT_EQ(Batch({"u", "u"}, {{}, {0}}), (Groups{{0}, {1}}));
}
// b1 waits for a1, and a2 for b1: the two a must not meet.
TEST(Batch, NoCircles) { EXPECT_EQ(Batch({"a", "b", "b", "a"}, {{}, {0}, {}, {1}}), (Groups{{0}, {1, 2}, {3}})); }

TEST(Batch, RandomWaits) {
  size_t together = 0;
  for (uint64_t seed : TestSeeds(300)) {
    Rng rng(seed);
    const auto n = static_cast<size_t>(rng.Int(1, 40));
    std::vector<std::string_view> keys;
    Groups waits(n);
    for (size_t i = 0; i < n; ++i) {
      keys.push_back(std::vector<std::string_view>{"", "a", "b", "c"}[static_cast<size_t>(rng.Int(0, 3))]);
      for (size_t j = 0; j < i; ++j)
        if (rng.Int(0, 9) == 0) waits[i].push_back(static_cast<int>(j));
    }
    std::vector<int> place(n, -1);
    int at = 0;
    for (const std::vector<int>& group : Batch(keys, waits)) {
      ASSERT_FALSE(group.empty());
      for (int i : group) {
        ASSERT_EQ(place[static_cast<size_t>(i)], -1);
        place[static_cast<size_t>(i)] = at;
        EXPECT_EQ(keys[static_cast<size_t>(i)], keys[static_cast<size_t>(group[0])]);
        if (group.size() > 1) {
          EXPECT_FALSE(keys[static_cast<size_t>(i)].empty());
        }
      }
      together += group.size() - 1;
      ++at;
    }
    for (size_t i = 0; i < n; ++i) {
      ASSERT_NE(place[i], -1);
      for (int j : waits[i]) EXPECT_LT(place[static_cast<size_t>(j)], place[i]) << "seed " << seed;
    }
  }
  EXPECT_GT(together, 500u);
}

}  // namespace
}  // namespace distil::cuda
