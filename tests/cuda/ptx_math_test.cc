// The functions in PTX against f64, in units of the last place, and where a formula has no ordinary value.
#include "lib/backend/cuda/ptx_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tests/cuda/run_fused.h"
#include "tests/graph/random_body.h"

namespace distil::cuda {
namespace {

// op(x, y) for many numbers, as one kernel.
std::vector<float> Compute(Op op, std::vector<float> x, std::vector<float> y) {
  FusedBody body;
  const auto n = static_cast<int64_t>(x.size());
  body.space = {n};
  body.code = {{FusedBody::kLoad, Op::kInput, {0, 0, 0}, 0},
               {FusedBody::kLoad, Op::kInput, {1, 0, 0}, 0},
               {FusedBody::kOp, op, {0, 1, 0}, 0}};
  body.outs = {{2, FusedBody::kStore, body.space}};
  const Operand o{DType::kF32, {1}, 0};
  FusedPlan plan;
  EXPECT_TRUE(PlanFused(body, {o, o}, {o}, &plan).ok());
  std::vector<float> r(x.size());
  const size_t bytes = x.size() * sizeof(float);
  EXPECT_EQ(FusedRunner(plan).Run({x.data(), y.data()}, {r.data()},
                                  {{x.data(), bytes, false}, {y.data(), bytes, false}, {r.data(), bytes}}),
            "");
  return r;
}

// Distance in units of the last place of the exact value; those of numbers below the smallest normal one are alike.
double Ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : INFINITY;
  if (static_cast<float>(want) == got) return 0;
  if (std::isinf(got) || std::isinf(static_cast<float>(want))) return INFINITY;
  const int exponent = std::max(std::ilogb(want), -126);
  return std::abs(got - want) / std::ldexp(1.0, exponent - 23);
}

struct Function {
  Op op;
  double (*exact)(double, double);
  double lo, hi;
  double ulps;
};

double Sigmoid(double x, double) { return 1 / (1 + std::exp(-x)); }

class Functions : public testing::TestWithParam<Function> {};

TEST_P(Functions, AreAccurate) {
  const Function& f = GetParam();
  Rng rng(1);
  std::vector<float> x, y;
  for (int i = 0; i < 200000; ++i) {
    const double u = rng.Uniform(f.lo, f.hi);
    // Half of them spread evenly over the exponents.
    const double v = i % 2 ? u : std::ldexp(rng.Uniform(0.5, 1), static_cast<int>(rng.Int(-40, 12))) * (i % 4 ? 1 : -1);
    x.push_back(static_cast<float>(std::clamp(v, f.lo, f.hi)));
    y.push_back(static_cast<float>(rng.Int(0, 1) ? rng.Uniform(-30, 30) : static_cast<double>(rng.Int(-4, 4))));
  }
  const std::vector<float> r = Compute(f.op, x, y);
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < x.size(); ++i)
    if (const double u = Ulps(r[i], f.exact(x[i], y[i])); u > worst) worst = u, at = i;
  EXPECT_LE(worst, f.ulps) << OpName(f.op) << "(" << x[at] << ", " << y[at] << ") = " << r[at] << ", should be "
                           << f.exact(x[at], y[at]);
  RecordProperty("ulps", std::to_string(worst));
}

INSTANTIATE_TEST_SUITE_P(
    Ptx, Functions,
    testing::Values(Function{Op::kExp, [](double x, double) { return std::exp(x); }, -110, 90, 1},
                    Function{Op::kLog, [](double x, double) { return std::log(x); }, 0, 1e30, 1},
                    Function{Op::kLog1p, [](double x, double) { return std::log1p(x); }, -1, 1e30, 1},
                    Function{Op::kTanh, [](double x, double) { return std::tanh(x); }, -12, 12, 1.5},
                    Function{Op::kSigmoid, Sigmoid, -88, 88, 2.5},
                    Function{Op::kPow, [](double x, double y) { return std::pow(x, y); }, -50, 50, 0.51}),
    [](const auto& info) { return std::string(OpName(info.param.op)); });

// NaN, infinities, zeros, the largest and the smallest numbers, alone and in pairs: as the formulas have them.
TEST(PtxMath, SpecialValues) {
  const float inf = kInf, nan = kNan, tiny = std::numeric_limits<float>::denorm_min(),
              least = std::numeric_limits<float>::min(), most = std::numeric_limits<float>::max();
  std::vector<float> values = {0.0f,  -0.0f, 1,     -1,   0.5f,    -0.5f,  2,     -2,     3,        -3,         6,
                               7,     -6,    0.25f, inf,  -inf,    nan,    tiny,  -tiny,  least,    -least,     most,
                               -most, 88.5f, 89.5f, -103, -104.5f, 1e-20f, 1e20f, -1e20f, 16777216, 16777220.0f};
  std::vector<float> x, y;
  for (float a : values)
    for (float b : values) x.push_back(a), y.push_back(b);
  for (Op op : kPointwise) {
    const std::vector<float> r = Compute(op, x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const float want = Scalar(op, x[i], y[i], x[i]);
      if (op == Op::kSelect) continue;  // has three operands; random bodies see it
      EXPECT_LE(Ulps(r[i], want), 4) << OpName(op) << "(" << x[i] << ", " << y[i] << ") is " << r[i] << ", should be "
                                     << want;
      if (want == 0 && r[i] == 0) {
        EXPECT_EQ(std::signbit(r[i]), std::signbit(want)) << OpName(op) << "(" << x[i] << ", " << y[i] << ")";
      }
    }
  }
}

}  // namespace
}  // namespace distil::cuda
