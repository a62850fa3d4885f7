// Direct convolutions by rows, against their definition in double.
#include "lib/backend/onednn/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/graph/images.h"

namespace distil::onednn {
namespace {

using Floats = std::vector<float>;

struct Case {
  int64_t n, c, o, h, w, stride;
};
// Rows of one run and of several, and of one pixel; one row; odd and even widths, whose last column a stride of 2 sees
// differently; outputs for one vector and for two; more threads than rows.
const Case kCases[] = {{2, 16, 16, 8, 8, 1},  {3, 32, 32, 7, 32, 1}, {1, 48, 80, 3, 5, 1},  {2, 64, 32, 9, 15, 1},
                       {1, 32, 64, 1, 29, 1}, {1, 16, 32, 1, 1, 1},  {2, 32, 16, 5, 14, 1}, {2, 16, 32, 8, 8, 2},
                       {1, 32, 16, 7, 9, 2},  {1, 32, 64, 1, 1, 2},  {3, 16, 96, 2, 31, 2}, {2, 32, 32, 5, 58, 2}};

Floats Random(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Floats v(static_cast<size_t>(count));
  for (float& x : v) x = static_cast<float>(random() >> 8) / 8388608.0f - 1.0f;
  return v;
}

float At(const Floats& image, const Shape& s, int64_t n, int64_t c, int64_t h, int64_t w) {
  if (h < 0 || w < 0 || h >= s[2] || w >= s[3]) return 0;
  return image[static_cast<size_t>(ImageOffset(s, Layout::kBlocked16, n, c, h, w))];
}

// A weight [o,c,3,3] as Library::BlockedWeight says; for the convolution by input, turned.
Floats Packed(const Floats& w, int64_t o, int64_t c, bool turned) {
  Floats to(w.size());
  const int64_t inputs = turned ? o : c;
  for (int64_t i = 0; i < o; ++i)
    for (int64_t j = 0; j < c; ++j)
      for (int64_t k = 0; k < 9; ++k) {
        const int64_t out = turned ? j : i, in = turned ? i : j, tap = turned ? 8 - k : k;
        const int64_t at = (((out / 16 * (inputs / 16) + in / 16) * 9 + tap) * 16 + in % 16) * 16 + out % 16;
        to[static_cast<size_t>(at)] = w[static_cast<size_t>((i * c + j) * 9 + k)];
      }
  return to;
}

void Launch(const ConvSpec& s, int threads, std::vector<const void*> in, Floats* out) {
  const auto kernel = MakeRows(s, threads);
  void* to = out->data();
  kernel->Run({in.data(), &to, nullptr});
}

class RowsTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!Library().wide()) GTEST_SKIP() << "needs AVX-512";
    spec.attrs.pad[0] = spec.attrs.pad[1] = 1;
    spec.attrs.stride[0] = spec.attrs.stride[1] = c.stride;
  }

  // Of sums of products of numbers that are even in [-1, 1]: the k-th partial sum is about sqrt(k) / 3, its rounding
  // 2^-24 / sqrt(3) of that, which for all of them together is 8e-9 times their number; six times that.
  void Compare(const Floats& got, const Shape& shape, const std::vector<double>& want, int64_t products) {
    const double bound = static_cast<double>(products) * 5e-8;
    size_t i = 0;
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t k = 0; k < shape[1]; ++k)
        for (int64_t y = 0; y < shape[2]; ++y)
          for (int64_t x = 0; x < shape[3]; ++x, ++i)
            ASSERT_NEAR(static_cast<double>(At(got, shape, n, k, y, x)), want[i], bound) << k << " " << y << " " << x;
  }

  Case c = GetParam();
  ConvSpec spec = {ConvKind::kForward,
                   {c.n, c.c, c.h, c.w},
                   {c.o, c.c, 3, 3},
                   {c.n, c.o, (c.h - 1) / c.stride + 1, (c.w - 1) / c.stride + 1},
                   {},
                   Layout::kBlocked16,
                   Layout::kBlocked16,
                   false};
};

TEST_P(RowsTest, Forward) {
  for (int options : {0, 1, 6, 7}) {
    SCOPED_TRACE(options);
    ConvSpec s = spec;
    s.attrs.bias = options & 1, s.attrs.residual = options >> 1 & 1, s.attrs.relu = options >> 2;
    ASSERT_TRUE(RowsCan(s));
    const Floats x = Random(s.x.elements(), 1), w = Random(s.w.elements(), 2), bias = Random(c.o, 3),
                 residual = Random(s.y.elements(), 4), packed = Packed(w, c.o, c.c, false);
    std::vector<double> want;
    for (int64_t n = 0; n < c.n; ++n)
      for (int64_t o = 0; o < c.o; ++o)
        for (int64_t i = 0; i < s.y[2]; ++i)
          for (int64_t j = 0; j < s.y[3]; ++j) {
            double sum = s.attrs.bias ? static_cast<double>(bias[static_cast<size_t>(o)]) : 0;
            for (int64_t k = 0; k < c.c * 9; ++k)
              sum += static_cast<double>(w[static_cast<size_t>(o * c.c * 9 + k)]) *
                     static_cast<double>(At(x, s.x, n, k / 9, i * c.stride + k / 3 % 3 - 1, j * c.stride + k % 3 - 1));
            if (s.attrs.residual) sum += static_cast<double>(At(residual, s.y, n, o, i, j));
            want.push_back(s.attrs.relu ? std::fmax(sum, 0.0) : sum);
          }
    std::vector<const void*> in = {x.data(), packed.data()};
    if (s.attrs.bias) in.push_back(bias.data());
    if (s.attrs.residual) in.push_back(residual.data());
    Floats y(residual.size(), std::nanf(""));
    Launch(s, 1, in, &y);
    Compare(y, s.y, want, c.c * 9);
    // The same bits by any number of threads, and where the residual is the output.
    for (int threads : {2, 3, 8}) {
      Floats again = s.attrs.residual ? residual : Floats(y.size(), std::nanf(""));
      if (s.attrs.residual) in.back() = again.data();
      Launch(s, threads, in, &again);
      EXPECT_EQ(again, y) << threads;
    }
    for (int i = 0; i < static_cast<int>(in.size()); ++i)
      EXPECT_EQ(MakeRows(s, 1)->MayAlias(i, 0), s.attrs.residual && i == static_cast<int>(in.size()) - 1);
  }
}

TEST_P(RowsTest, ByInput) {
  ConvSpec s = spec;
  s.kind = ConvKind::kInput;
  if (c.stride != 1) {
    EXPECT_FALSE(RowsCan(s));
    return;
  }
  ASSERT_TRUE(RowsCan(s));
  const Floats dy = Random(s.y.elements(), 1), w = Random(s.w.elements(), 2), packed = Packed(w, c.o, c.c, true);
  std::vector<double> want;
  for (int64_t n = 0; n < c.n; ++n)
    for (int64_t k = 0; k < c.c; ++k)
      for (int64_t i = 0; i < c.h; ++i)
        for (int64_t j = 0; j < c.w; ++j) {
          double sum = 0;
          for (int64_t o = 0; o < c.o * 9; ++o)
            sum += static_cast<double>(w[static_cast<size_t>((o / 9 * c.c + k) * 9 + o % 9)]) *
                   static_cast<double>(At(dy, s.y, n, o / 9, i + 1 - o / 3 % 3, j + 1 - o % 3));
          want.push_back(sum);
        }
  Floats dx(static_cast<size_t>(s.x.elements()), std::nanf("")), again = dx;
  Launch(s, 1, {dy.data(), packed.data()}, &dx);
  Compare(dx, s.x, want, c.o * 9);
  Launch(s, 3, {dy.data(), packed.data()}, &again);
  EXPECT_EQ(again, dx);
}

TEST_P(RowsTest, IsForThreeByThreeOfWholeBlocks) {
  ConvSpec s = spec;
  s.kind = ConvKind::kWeight;
  EXPECT_FALSE(RowsCan(s));
  s = spec;
  s.bf16 = true;
  EXPECT_FALSE(RowsCan(s));
  for (int64_t* a : {&s.attrs.stride[1], &s.attrs.pad[0], &s.attrs.dilation[1], &s.attrs.groups}) {
    s.bf16 = false;
    const int64_t before = *a;
    *a = 4;
    EXPECT_FALSE(RowsCan(s));
    *a = before;
  }
  s.x = {c.n, 24, c.h, c.w};
  EXPECT_FALSE(RowsCan(s));
}

INSTANTIATE_TEST_SUITE_P(Cases, RowsTest, testing::ValuesIn(kCases));

}  // namespace
}  // namespace distil::onednn
