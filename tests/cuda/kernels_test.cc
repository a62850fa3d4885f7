// The kernels written by hand, on the host: against the reference or a plain loop, at edges that random graphs seldom
// reach, and with blocks and threads in both orders.
#include "lib/backend/cuda/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "lib/backend/cuda/kernels/emulate.h"
#include "lib/backend/cuda/work.h"
#include "lib/base/random.h"
#include "tests/graph/images.h"
#include "tests/ops/harness.h"

namespace distil::cuda {
namespace {

// Runs `launch` forwards and backwards, expects no error and the same bytes in `result` both times.
template <class T, class F>
void InBothOrders(std::vector<T>* result, F launch) {
  std::vector<T> first;
  for (bool backwards : {false, true}) {
    std::memset(result->data(), 0x5a, result->size() * sizeof(T));
    emulation::backwards = backwards;
    const kernels::Error e = launch();
    emulation::backwards = false;
    ASSERT_EQ(e, nullptr) << e;
    if (backwards) {
      EXPECT_EQ(std::memcmp(first.data(), result->data(), first.size() * sizeof(T)), 0) << "the order matters";
    }
    first = *result;
  }
}

TEST(Kernels, RandomHasTheSameBitsOnEveryDevice) {
  const std::vector<int32_t> ids = {0, 5, 49999, -1};
  for (const auto& [width, number] : {std::pair<int64_t, int>(1, 0), {3, 1}, {4, 2}, {5, 258}, {1027, 3}}) {
    const int32_t key[] = {123456789, -987654321, 77, number};
    std::vector<float> y(ids.size() * static_cast<size_t>(width));
    InBothOrders(&y, [&] { return kernels::Random(key, ids.data(), 200, y.data(), 4, width, nullptr); });
    for (size_t i = 0; i < y.size(); ++i) {
      const auto row = i / static_cast<size_t>(width), column = i % static_cast<size_t>(width);
      ASSERT_EQ(y[i], DropoutUniform(key, ids[row], 200, static_cast<uint32_t>(column / 4))[column % 4]) << i;
    }
  }
}

TEST(Kernels, IotaCountsRows) {
  std::vector<float> y(1000);
  InBothOrders(&y, [&] { return kernels::Iota(y.data(), 1000, 7, nullptr); });
  for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], static_cast<float>(i % 7));
}

TEST(Kernels, GatherFillsRowsThatAreNotThere) {
  const int32_t index[] = {2, 0, -1, 3, 2, 1 << 30};
  for (int64_t width : {1, 3, 4, 8, 300}) {
    std::vector<uint32_t> table(3 * static_cast<size_t>(width)), y(6 * static_cast<size_t>(width));
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint32_t>(i) * 2654435761u;
    InBothOrders(&y, [&] { return kernels::Gather(table.data(), index, y.data(), 3, 6, width * 4, 99, nullptr); });
    for (size_t i = 0; i < y.size(); ++i) {
      const int32_t row = index[i / static_cast<size_t>(width)];
      const bool there = row >= 0 && row < 3;
      ASSERT_EQ(y[i], there ? table[static_cast<size_t>(row * width) + i % static_cast<size_t>(width)] : 99u);
    }
  }
}

TEST(Kernels, ScatterAddInOrderOfRows) {
  Rng rng(1);
  for (int64_t n : {1, 5, 300}) {
    const int64_t rows = 6, width = 37;
    std::vector<int32_t> index(static_cast<size_t>(n));
    std::vector<float> x(static_cast<size_t>(n * width)), table(static_cast<size_t>(rows * width));
    for (int32_t& i : index) i = static_cast<int32_t>(rng.Int(-1, rows));  // both ends outside
    for (float& v : x) v = static_cast<float>(rng.Uniform(-1, 1));
    std::vector<char> workspace(kernels::ScatterAddWorkspace(n));
    InBothOrders(&table, [&] {
      return kernels::ScatterAdd(x.data(), index.data(), table.data(), rows, n, width, workspace.data(), nullptr);
    });
    std::vector<float> want(table.size(), 0.0f);
    for (size_t i = 0; i < x.size(); ++i)
      if (const int32_t r = index[i / width]; r >= 0 && r < rows)
        want[static_cast<size_t>(r) * width + i % width] += x[i];
    EXPECT_EQ(table, want);
  }
}

TEST(Kernels, RankOfTiesAndNan) {
  const float nan = NAN, inf = INFINITY;
  const std::vector<float> x = {nan, 2, -0.0f, 0, 2, -inf, nan, inf};
  std::vector<float> y(8);
  InBothOrders(&y, [&] { return kernels::Rank(x.data(), y.data(), 1, 8, nullptr); });
  EXPECT_EQ(y, (std::vector<float>{6, 3, 1, 2, 4, 0, 7, 5}));
}

// Every kind of element, extents around a tile's, further axes on either side.
TEST(Kernels, Transpose) {
  Rng rng(2);
  for (int64_t a : {1, 31, 32, 33, 70}) {
    for (int64_t b : {8, 32, 65}) {
      for (auto element : {kernels::Element::kWord, kernels::Element::kHalf, kernels::Element::kFloatToBf16,
                           kernels::Element::kBf16ToFloat}) {
        const bool half_in = element == kernels::Element::kHalf || element == kernels::Element::kBf16ToFloat;
        const bool half_out = element == kernels::Element::kHalf || element == kernels::Element::kFloatToBf16;
        kernels::Tiles t;  // x [3,a,2,b] to y [2,3,b,a]
        t.a = a, t.b = b, t.x_a = 2 * b, t.y_b = a;
        t.outer = 2;
        t.size[0] = 3, t.x_stride[0] = a * 2 * b, t.y_stride[0] = b * a;
        t.size[1] = 2, t.x_stride[1] = b, t.y_stride[1] = 3 * b * a;
        const auto n = static_cast<size_t>(6 * a * b);
        std::vector<float> value(n);
        for (float& v : value) v = FromBf16(ToBf16(static_cast<float>(rng.Uniform(-9, 9))));  // bits of either format
        std::vector<uint32_t> x(n), y(n);
        for (size_t i = 0; i < n; ++i) {
          if (half_in)
            reinterpret_cast<uint16_t*>(x.data())[i] = ToBf16(value[i]);
          else
            reinterpret_cast<float*>(x.data())[i] = value[i];
        }
        InBothOrders(&y, [&] { return kernels::Transpose(t, element, x.data(), y.data(), nullptr); });
        for (int64_t i = 0; i < 3 * a * 2 * b; ++i) {
          const int64_t in_b = i % b, two = i / b % 2, in_a = i / (2 * b) % a, three = i / (2 * a * b);
          const int64_t to = ((two * 3 + three) * b + in_b) * a + in_a;
          const float got =
              half_out ? FromBf16(reinterpret_cast<uint16_t*>(y.data())[to]) : reinterpret_cast<float*>(y.data())[to];
          ASSERT_EQ(got, value[static_cast<size_t>(i)]) << "a " << a << ", b " << b << ", element " << i;
        }
      }
    }
  }
}

// The first of equal numbers, and the first NaN, take a maximum's gradient.
TEST(Kernels, MaximaOfTiesAndNan) {
  kernels::Pool p;
  p.n = p.c = 1;
  p.in[0] = 2, p.in[1] = 6, p.out[0] = 1, p.out[1] = 3;
  for (int i = 0; i < 2; ++i) p.kernel[i] = p.stride[i] = 2;
  const float nan = NAN;
  const std::vector<float> x = {1, 1, 3, nan, -1, nan, 1, 1, nan, 4, nan, -2};
  const std::vector<float> v = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}, dy = {1, 2, 3};
  for (bool channels_last : {false, true}) {  // one channel lies alike in both
    p.channels_last = channels_last;
    std::vector<float> y(3), dv(12);
    InBothOrders(&y, [&] { return kernels::MaxPool(p, x.data(), v.data(), y.data(), nullptr); });
    EXPECT_EQ(y, (std::vector<float>{10, 13, 15}));
    InBothOrders(&dv, [&] { return kernels::MaxPoolScatter(p, x.data(), dy.data(), dv.data(), nullptr); });
    EXPECT_EQ(dv, (std::vector<float>{1, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0}));
  }
}

// Sizes that no grid has threads for are refused before anything is launched.
TEST(Kernels, TooLargeIsRefused) {
  const int64_t huge = int64_t{1} << 40;
  EXPECT_NE(kernels::Iota(nullptr, huge, 1, nullptr), nullptr);
  EXPECT_NE(kernels::Random(nullptr, nullptr, 0, nullptr, huge, 4, nullptr), nullptr);
  EXPECT_NE(kernels::Gather(nullptr, nullptr, nullptr, 1, huge, 4, 0, nullptr), nullptr);
  EXPECT_NE(kernels::ScatterAdd(nullptr, nullptr, nullptr, 1, huge, 1, nullptr, nullptr), nullptr);
  EXPECT_NE(kernels::Rank(nullptr, nullptr, huge, 1, nullptr), nullptr);
  kernels::Tiles t;
  t.a = t.b = int64_t{1} << 21;
  EXPECT_NE(kernels::Transpose(t, kernels::Element::kWord, nullptr, nullptr, nullptr), nullptr);
  kernels::Pool p;
  p.n = huge, p.c = 1;
  for (int i = 0; i < 2; ++i) p.in[i] = p.out[i] = p.kernel[i] = p.stride[i] = 1;
  EXPECT_NE(kernels::AvgPool(p, nullptr, nullptr, nullptr), nullptr);
}

// Images between layouts and a matrix's transposition go through tiles, narrow ones through a generated kernel.
TEST(Moves, ThroughTilesWhereTheyFit) {
  auto steps = [](const Shape& s, std::vector<int64_t> axes) {
    Graph g;
    const ValueId y = g.AddValue(Op::kTranspose, {g.Input("x", s)}, std::move(axes));
    Work work;
    EXPECT_TRUE(MakeWork(g, g.producer(y), &work).ok());
    EXPECT_EQ(work.steps.size(), 1u);
    return work.steps[0].pass == nullptr;
  };
  EXPECT_TRUE(steps({64, 100}, {1, 0}));
  EXPECT_TRUE(steps({4, 16, 8, 8}, {0, 2, 3, 1}));
  EXPECT_FALSE(steps({4, 3, 8, 8}, {0, 2, 3, 1}));
  EXPECT_FALSE(steps({64, 16, 100}, {1, 0, 2}));
}

// Small tensors behind one another go by one launch for every 128; what is large, or not contiguous, does not.
TEST(Moves, SmallPartsTogether) {
  Graph g;
  std::vector<ValueId> parts;
  std::vector<std::vector<float>> values;
  std::vector<float> want;
  for (int64_t i = 0; i < 150; ++i) {
    parts.push_back(g.Input("x" + std::to_string(i), {i % 7 * i + 1}));
    values.emplace_back();
    for (int64_t k = 0; k <= i % 7 * i; ++k) values.back().push_back(static_cast<float>(i * 1000 + k));
    want.insert(want.end(), values.back().begin(), values.back().end());
  }
  const ValueId y = g.AddValue(Op::kConcat, parts, {0});
  ASSERT_TRUE(g.ok()) << g.error();
  Work work;
  ASSERT_TRUE(MakeWork(g, g.producer(y), &work).ok());
  ASSERT_EQ(work.steps.size(), 1u);
  std::vector<const void*> in;
  for (const auto& v : values) in.push_back(v.data());
  std::vector<float> got(want.size());
  void* out[] = {got.data()};
  InBothOrders(&got, [&] { return work.steps[0].run({in.data(), out, nullptr}, nullptr); });
  EXPECT_EQ(got, want);

  auto steps = [](const Shape& s, int64_t axis) {
    Graph two;
    const ValueId x = two.Input("x", s), z = two.AddValue(Op::kConcat, {x, x}, {axis});
    Work w;
    EXPECT_TRUE(MakeWork(two, two.producer(z), &w).ok());
    return w.steps.size();
  };
  EXPECT_EQ(steps({1, 5, 3}, 1), 1u);
  EXPECT_EQ(steps({2, 5, 3}, 1), 2u);
  EXPECT_EQ(steps({5000}, 0), 2u);
}

}  // namespace
}  // namespace distil::cuda
