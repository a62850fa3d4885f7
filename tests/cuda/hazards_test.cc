// Hazards on random launches: every two that conflict are joined by a path, no others are, and no edge is in vain.
#include "lib/backend/cuda/hazards.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace distil::cuda {
namespace {

Range At(size_t begin, size_t bytes) { return {reinterpret_cast<const void*>(begin), bytes}; }

bool Overlap(const Range& a, const Range& b) {
  const auto x = reinterpret_cast<uintptr_t>(a.begin), y = reinterpret_cast<uintptr_t>(b.begin);
  return a.bytes && b.bytes && x < y + b.bytes && y < x + a.bytes;
}

bool Conflict(const Access& a, const Access& b) {
  auto any = [](const std::vector<Range>& x, const std::vector<Range>& y) {
    for (const Range& r : x)
      for (const Range& s : y)
        if (Overlap(r, s)) return true;
    return false;
  };
  return any(a.writes, b.reads) || any(a.reads, b.writes) || any(a.writes, b.writes);
}

using Matrix = std::vector<std::vector<bool>>;

// paths[i][j]: from j to i along pairs for which `edge` holds.
template <class Edge>
Matrix Paths(size_t n, Edge edge) {
  Matrix p(n, std::vector<bool>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i; j-- > 0;)
      if (edge(i, j)) {
        p[i][j] = true;
        for (size_t k = 0; k < j; ++k) p[i][k] = p[i][k] || p[j][k];
      }
  return p;
}

Matrix Edges(const std::vector<std::vector<int>>& d) {
  Matrix e(d.size(), std::vector<bool>(d.size()));
  for (size_t i = 0; i < d.size(); ++i)
    for (int j : d[i]) e[i][static_cast<size_t>(j)] = true;
  return e;
}

TEST(Hazards, ByHand) {
  // 0 writes a; 1 and 2 read it into b and c; 3 reads both and writes over a; 4 stands alone.
  const Range a = At(1000, 64), b = At(2000, 64), c = At(3000, 64);
  const std::vector<Access> launches = {{{}, {a}}, {{a}, {b}}, {{a}, {c}}, {{b, c}, {a}}, {{}, {At(5000, 1)}}};
  const std::vector<std::vector<int>> want = {{}, {0}, {0}, {1, 2}, {}};
  EXPECT_EQ(Dependencies(launches), want);
}

TEST(Hazards, TouchingRangesDoNotConflict) {
  const std::vector<Access> launches = {
      {{}, {At(0x100, 16)}}, {{}, {At(0x110, 16)}}, {{At(0x10f, 1)}, {}}, {{At(0x10f, 2)}, {}}, {{At(0x100, 0)}, {}}};
  const std::vector<std::vector<int>> want = {{}, {}, {0}, {0, 1}, {}};
  EXPECT_EQ(Dependencies(launches), want);
}

TEST(Hazards, ALaunchInPlaceDoesNotWaitForItself) {
  const Range a = At(64, 64);
  EXPECT_EQ(Dependencies({{{a}, {a}}, {{a}, {a}}}), (std::vector<std::vector<int>>{{}, {0}}));
}

TEST(Hazards, RandomLaunchesWaitForConflictsAndNothingElse) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 bits(seed);
    auto below = [&](size_t n) { return bits() % n; };
    const size_t n = 2 + below(60), cells = 4 + below(200);
    std::vector<Access> launches(n);
    for (Access& l : launches) {
      auto range = [&] { return At(4096 + below(cells), below(12)); };
      for (size_t k = below(4); k-- > 0;) l.reads.push_back(range());
      for (size_t k = below(3); k-- > 0;) l.writes.push_back(range());
    }
    const std::vector<std::vector<int>> d = Dependencies(launches);
    ASSERT_EQ(d.size(), n);
    const Matrix edges = Edges(d);
    const Matrix want = Paths(n, [&](size_t i, size_t j) { return Conflict(launches[i], launches[j]); });
    const Matrix got = Paths(n, [&](size_t i, size_t j) { return edges[i][j]; });
    EXPECT_EQ(got, want);
    // An edge is not needed when another way leads along.
    for (size_t i = 0; i < n; ++i)
      for (int j : d[i])
        for (int k : d[i]) EXPECT_FALSE(got[static_cast<size_t>(k)][static_cast<size_t>(j)]) << i << " " << j;
  }
}

}  // namespace
}  // namespace distil::cuda
