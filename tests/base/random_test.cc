#include "lib/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace distil {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers that Random123 publishes for philox4x32-10 (its tests/kat_vectors).
TEST(Philox, KnownAnswers) {
  philox4x32_ctr_t zero_ctr = {{0, 0, 0, 0}}, ones_ctr = {{~0u, ~0u, ~0u, ~0u}};
  philox4x32_key_t zero_key = {{0, 0}}, ones_key = {{~0u, ~0u}};
  philox4x32_ctr_t pi_ctr = {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
  philox4x32_key_t pi_key = {{0xa4093822, 0x299f31d0}};
  auto words = [](philox4x32_ctr_t r) { return Words{r.v[0], r.v[1], r.v[2], r.v[3]}; };
  EXPECT_EQ(words(philox4x32(zero_ctr, zero_key)), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(philox4x32(ones_ctr, ones_key)), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(philox4x32(pi_ctr, pi_key)), (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomWords, CounterAndKeyAreTheArguments) {
  // Counter (index, a, b, purpose) and key (low, high word of the seed): the third vector above needs purpose
  // 0x03707344, which is legal for the enum's underlying type.
  Words w = RandomWords(0x299f31d0a4093822, static_cast<Purpose>(0x03707344), 0x85a308d3, 0x13198a2e, 0x243f6a88);
  EXPECT_EQ(w, (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomWords, EveryArgumentMatters) {
  std::set<Words> seen;
  seen.insert(RandomWords(1, Purpose::kTest, 0, 0, 0));
  seen.insert(RandomWords(1ull << 32, Purpose::kTest, 0, 0, 0));
  seen.insert(RandomWords(1, Purpose::kInit, 0, 0, 0));
  seen.insert(RandomWords(1, Purpose::kTest, 1, 0, 0));
  seen.insert(RandomWords(1, Purpose::kTest, 0, 1, 0));
  seen.insert(RandomWords(1, Purpose::kTest, 0, 0, 1));
  EXPECT_EQ(seen.size(), 6u);
}

TEST(ToUnit, CoversHalfOpenInterval) {
  EXPECT_EQ(ToUnit(0), 0.0f);
  EXPECT_EQ(ToUnit(0x80000000u), 0.5f);
  EXPECT_EQ(ToUnit(~0u), 1.0f - 1.0f / 16777216.0f);
}

TEST(ToRange, StaysBelowN) {
  EXPECT_EQ(ToRange(0, 10), 0u);
  EXPECT_EQ(ToRange(~0u, 10), 9u);
  EXPECT_EQ(ToRange(0x80000000u, 10), 5u);
  EXPECT_EQ(ToRange(~0u, 1), 0u);
}

TEST(HashName, IsFnv1a) {
  EXPECT_EQ(HashName("", 0), 0x811c9dc5u);
  EXPECT_EQ(HashName("a", 1), 0xe40c292cu);
  EXPECT_EQ(HashName("foobar", 6), 0xbf9cf968u);
}

}  // namespace
}  // namespace distil
