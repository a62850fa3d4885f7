// The innermost loops of every instruction set that this processor has, against plain formulas and so against each
// other: bit for bit, since no set may fuse or reorder what the formula does not.
#include "lib/backend/onednn/vector_ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/ops/harness.h"

namespace distil::onednn {
namespace {

const VectorOps* Find(const std::string& isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == "avx512" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return &avx512::kOps;
  if (isa == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kOps;
#endif
  return isa == "base" ? &base::kOps : nullptr;
}

float Scalar(Op op, float x, float y, float z) {
  using namespace std;  // exp(float) is float's own
  (void)y, (void)z;
  switch (op) {
#define POINTWISE(name, arity, value, ...) \
  case Op::k##name:                        \
    return static_cast<float>(value);
#include "lib/graph/pointwise.def"
#undef POINTWISE
    default: return 0;
  }
}

const Op kPointwise[] = {
#define POINTWISE(name, ...) Op::k##name,
#include "lib/graph/pointwise.def"
#undef POINTWISE
};

// Ordinary numbers, and now and then one that breaks careless code.
float AnyFloat(Rng* rng) {
  const float special[] = {0.0f,
                           -0.0f,
                           1.0f,
                           6.0f,
                           std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::max(),
                           std::numeric_limits<float>::denorm_min(),
                           std::numeric_limits<float>::min()};
  if (rng->Int(0, 5) == 0) return special[rng->Int(0, std::size(special) - 1)];
  return static_cast<float>(rng->Uniform(-4, 4));
}

void ExpectSame(float got, float want, const std::string& what) {
  if (std::isnan(got) && std::isnan(want)) return;
  EXPECT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want)) << what << ": " << got << " for " << want;
}

class VectorOpsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ops_ = Find(GetParam());
    if (!ops_) GTEST_SKIP() << "this processor has no " << GetParam();
    EXPECT_STREQ(ops_->isa, GetParam());
  }
  std::vector<float> Floats(int64_t n) {
    std::vector<float> v(static_cast<size_t>(n));
    for (float& x : v) x = AnyFloat(&rng_);
    return v;
  }
  const VectorOps* ops_ = nullptr;
  Rng rng_{1};
};

const int64_t kLengths[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1024};

TEST_P(VectorOpsTest, PointwiseOpsAreTheirFormulas) {
  for (Op op : kPointwise) {
    for (int64_t n : kLengths) {
      const std::vector<float> a = Floats(n), b = Floats(n), c = Floats(n);
      std::vector<float> out(static_cast<size_t>(n) + 1, 77.0f);
      ops_->apply(op, a.data(), b.data(), c.data(), out.data(), n);
      for (size_t i = 0; i < a.size(); ++i) ExpectSame(out[i], Scalar(op, a[i], b[i], c[i]), std::string(OpName(op)));
      EXPECT_EQ(out.back(), 77.0f) << OpName(op) << " writes past the end";
    }
  }
}

TEST_P(VectorOpsTest, PairsAreTheirTwoOps) {
  const struct {
    Pair pair;
    Op first, second;
    int side, operands;
  } pairs[] = {
#define PAIR(first, second, side, operands, ...) \
  {Pair::k##first##second##side, Op::k##first, Op::k##second, side, operands},
#include "lib/backend/onednn/pairs.def"
#undef PAIR
  };
  for (const auto& p : pairs) {
    EXPECT_EQ(Arity(p.first) + Arity(p.second) - 1, p.operands);
    for (int64_t n : kLengths) {
      const std::vector<float> a = Floats(n), b = Floats(n), c = Floats(n), d = Floats(n);
      std::vector<float> out(static_cast<size_t>(n) + 1, 77.0f);
      const float* const in[4] = {a.data(), b.data(), c.data(), d.data()};
      ops_->apply_pair(p.pair, in, out.data(), n);
      for (size_t i = 0; i < a.size(); ++i) {
        const float x = Scalar(p.first, a[i], b[i], 0);
        const float want = p.side == 0 ? Scalar(p.second, x, c[i], d[i]) : Scalar(p.second, c[i], x, 0);
        ExpectSame(out[i], want, std::string(OpName(p.first)) + " " + std::string(OpName(p.second)));
      }
      EXPECT_EQ(out.back(), 77.0f);
    }
  }
}

TEST_P(VectorOpsTest, Bf16IsRoundedToNearestEven) {
  struct {
    uint32_t f32;
    uint16_t bf16;
  } const cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                     {0x3f807fff, 0x3f80}, {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
                     {0x80000000, 0x8000}, {0x00000001, 0x0000}, {0x00008001, 0x0001}, {0x7f800001, 0x7fc0},
                     {0xffffffff, 0xffff}, {0x7fc00000, 0x7fc0}};
  std::vector<float> in;
  std::vector<uint16_t> want;
  for (int k = 0; k < 5; ++k)
    for (const auto& c : cases) in.push_back(std::bit_cast<float>(c.f32)), want.push_back(c.bf16);
  for (int64_t n : {size_t{1}, size_t{15}, size_t{17}, in.size()}) {
    std::vector<uint16_t> out(static_cast<size_t>(n) + 1, 0xabcd);
    ops_->store_bf16(in.data(), out.data(), n);
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(out[i], want[i]) << std::hex << std::bit_cast<uint32_t>(in[i]);
    EXPECT_EQ(out.back(), 0xabcd);
    std::vector<float> back(static_cast<size_t>(n) + 1, 5.0f);
    ops_->load_bf16(out.data(), back.data(), n);
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), uint32_t{out[i]} << 16);
    EXPECT_EQ(back.back(), 5.0f);
  }
}

TEST_P(VectorOpsTest, IntegersAndCopies) {
  for (int64_t n : kLengths) {
    std::vector<int32_t> ints;
    for (int64_t i = 0; i < n; ++i) ints.push_back(static_cast<int32_t>(rng_.Int(-100000, 100000)));
    const std::vector<float> floats = Floats(n);
    std::vector<float> out(static_cast<size_t>(n) + 1, 3.0f), copy = out;
    ops_->load_i32(ints.data(), out.data(), n);
    ops_->copy(floats.data(), copy.data(), n);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(out[i], static_cast<float>(ints[i]));
      ExpectSame(copy[i], floats[i], "copy");
    }
    EXPECT_EQ(out.back(), 3.0f);
    EXPECT_EQ(copy.back(), 3.0f);
  }
}

// Sums of integers are exact in any order.
TEST_P(VectorOpsTest, Reductions) {
  for (int64_t rows : {1, 2, 7, 64}) {
    for (int64_t cols : {1, 5, 16, 17, 40}) {
      std::vector<float> in;
      for (int64_t i = 0; i < rows * cols; ++i) in.push_back(static_cast<float>(rng_.Int(-50, 50)));
      double all = 10, want_all = 10;
      std::vector<double> sum(static_cast<size_t>(cols), 1.0), want_sum = sum;
      std::vector<double> max(static_cast<size_t>(cols), -20.0), want_max = max;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          const double v = in[static_cast<size_t>(r * cols + c)];
          want_all += v;
          want_sum[static_cast<size_t>(c)] += v;
          want_max[static_cast<size_t>(c)] = std::max(want_max[static_cast<size_t>(c)], v);
        }
      }
      ops_->sum_all(in.data(), rows * cols, &all);
      ops_->sum_columns(in.data(), rows, cols, sum.data());
      ops_->max_columns(in.data(), rows, cols, max.data());
      EXPECT_EQ(all, want_all);
      EXPECT_EQ(sum, want_sum);
      EXPECT_EQ(max, want_max);
    }
  }
}

// ... and of anything, the same bits for every set.
TEST_P(VectorOpsTest, SumsHaveTheBitsOfTheBaseSet) {
  std::vector<float> in;
  for (int i = 0; i < 1000; ++i) in.push_back(static_cast<float>(rng_.Uniform(-1, 1)));
  double a = 0, b = 0;
  ops_->sum_all(in.data(), 1000, &a);
  base::kOps.sum_all(in.data(), 1000, &b);
  EXPECT_EQ(a, b);
  std::vector<double> x(25, 0.0), y(25, 0.0);
  ops_->sum_columns(in.data(), 40, 25, x.data());
  base::kOps.sum_columns(in.data(), 40, 25, y.data());
  EXPECT_EQ(x, y);
}

TEST_P(VectorOpsTest, NanStaysTheMaximum) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float in[] = {1, nan, nan, 2, 3, 1};  // 3 rows of 2
  std::vector<double> max(2, -std::numeric_limits<double>::infinity());
  ops_->max_columns(in, 3, 2, max.data());
  EXPECT_TRUE(std::isnan(max[0]));
  EXPECT_TRUE(std::isnan(max[1]));
}

// Against the base set, which pool_test.cc compares with the reference (or another one, where that is best).
TEST_P(VectorOpsTest, PoolingHasTheBitsOfTheBaseSet) {
  const PoolWindow tiling[] = {{0, 2, 2}, {2, 4, 2}, {4, 6, 2}}, overlapping[] = {{0, 2, 3}, {1, 4, 3}, {3, 6, 3}};
  for (Op op : {Op::kMaxPool, Op::kMaxPoolScatter, Op::kAvgPool, Op::kAvgPoolGrad}) {
    for (int lanes : {1, 16}) {
      for (bool bf16 : {false, true}) {
        for (const PoolWindow* windows : {tiling, overlapping}) {
          const int64_t gap = 3, place = lanes + gap;  // as in channels-last images
          PoolPlane p = {
              windows,           windows,          6, 6, 6 * place, place, 3, 3, 3 * place, place, lanes, bf16,
              windows == tiling, windows == tiling};
          const std::vector<float> x = Floats(36 * place), y = Floats(36 * place);
          std::vector<uint16_t> xh(x.size()), yh(x.size());
          ops_->store_bf16(x.data(), xh.data(), 36 * place);
          ops_->store_bf16(y.data(), yh.data(), 36 * place);
          const void* a = bf16 ? static_cast<const void*>(xh.data()) : x.data();
          const void* b = bf16 ? static_cast<const void*>(yh.data()) : y.data();
          std::vector<float> sum(36 * 16), out(36 * place, 9.0f), want = out;
          ops_->pool(op, p, a, b, out.data(), sum.data());
          base::kOps.pool(op, p, a, b, want.data(), sum.data());
          if (bf16) {
            EXPECT_EQ(std::memcmp(out.data(), want.data(), out.size() * sizeof(float)), 0) << OpName(op);
            continue;
          }
          for (size_t i = 0; i < out.size(); ++i) ExpectSame(out[i], want[i], std::string(OpName(op)));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, VectorOpsTest, testing::Values("base", "avx2", "avx512"));

}  // namespace
}  // namespace distil::onednn
