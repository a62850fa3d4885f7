// Fused bodies as machine code, against their formulas point by point: the same bits, for every op that has code.
#include "lib/backend/onednn/tile_code.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>

#include "lib/backend/onednn/vector_ops.h"
#include "tests/graph/random_body.h"

namespace distil::onednn {
namespace {

using B = FusedBody;
constexpr int kPoints = 96;
constexpr TileOperand kImage{TileOperand::kTile, DType::kF32}, kLow{TileOperand::kTile, DType::kBF16},
    kChannels{TileOperand::kRow, DType::kF32}, kNumber{TileOperand::kOne, DType::kF32},
    kSums{TileOperand::kSum, DType::kF32};

B::Instr Load(int i) { return {B::kLoad, Op::kInput, {i, 0, 0}, 0}; }
B::Instr Do(Op op, int a, int b = 0, int c = 0) { return {B::kOp, op, {a, b, c}, 0}; }
B::Instr Constant(double x) { return {B::kConst, Op::kConstant, {0, 0, 0}, x}; }
B Body(std::vector<B::Instr> code, std::vector<std::pair<int, B::Reduce>> outs) {
  B body;
  body.space = {kPoints};
  body.code = std::move(code);
  for (auto [instr, reduce] : outs) body.outs.push_back({instr, reduce, reduce == B::kStore ? body.space : Shape{1}});
  return body;
}

bool Avx512() { return std::string(GetVectorOps().isa) == "avx512"; }

// Every pair of such numbers meets somewhere: signed zeros, ties, subnormal numbers, infinities, NaN.
std::vector<float> Numbers(int turn) {
  const float some[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.3f, -2.5f, 6.0f, 7.25f, 1e-41f, -1e30f, 3e38f, kInf, -kInf, kNan};
  std::vector<float> x;
  for (int i = 0; i < kPoints; ++i) x.push_back(some[(turn ? i / (turn == 1 ? 7 : 3) + turn : i) % std::size(some)]);
  return x;
}

void ExpectSame(float got, float want, const std::string& what) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << what << ": " << got;
  } else {
    EXPECT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want)) << what << ": " << got << " for " << want;
  }
}

TEST(TileCode, EveryOpOrNone) {
  if (!Avx512()) GTEST_SKIP() << "needs AVX-512";
  const std::set<Op> functions = {Op::kExp, Op::kLog, Op::kLog1p, Op::kSigmoid, Op::kTanh, Op::kPow};
  const std::vector<float> x = Numbers(0), y = Numbers(1), z = Numbers(2);
  for (Op op : kPointwise) {
    const B body = Body({Load(0), Load(1), Load(2), Do(op, 0, 1, 2)}, {{3, B::kStore}});
    const auto code = TileCode::Make(body, {kImage, kImage, kImage}, {kImage});
    EXPECT_EQ(code == nullptr, functions.count(op) == 1) << OpName(op);
    if (!code) continue;
    std::vector<float> out(kPoints + 16, 42.0f);
    std::vector<const void*> operands = {x.data(), y.data(), z.data(), out.data()};
    operands.resize(code->operands());
    code->Run(operands.data(), kPoints);
    for (size_t i = 0; i < kPoints; ++i)
      ExpectSame(out[i], Scalar(op, x[i], y[i], z[i]),
                 std::string(OpName(op)) + " of " + std::to_string(x[i]) + ", " + std::to_string(y[i]));
    for (size_t i = kPoints; i < out.size(); ++i) EXPECT_EQ(out[i], 42.0f);
  }
}

TEST(TileCode, RoundsToBf16AsTheEngineDoes) {
  if (!Avx512()) GTEST_SKIP() << "needs AVX-512";
  const VectorOps& ops = GetVectorOps();
  const auto narrow = TileCode::Make(Body({Load(0)}, {{0, B::kStore}}), {kImage}, {kLow});
  const auto widen = TileCode::Make(Body({Load(0)}, {{0, B::kStore}}), {kLow}, {kImage});
  ASSERT_TRUE(narrow && widen);
  std::vector<float> from, back(1 << 16), expected(1 << 16);
  std::vector<uint16_t> low(1 << 16), want(1 << 16);
  for (uint32_t i = 0; i < 1 << 16; ++i)  // every upper half, with lower halves around the tie
    from.push_back(std::bit_cast<float>(i << 16 | (i % 3 == 0 ? 0x8000 : i % 3 == 1 ? 0x7fff : 0x8001)));
  const void* operands[] = {from.data(), low.data(), nullptr};
  narrow->Run(operands, 1 << 16);
  ops.store_bf16(from.data(), want.data(), 1 << 16);
  EXPECT_EQ(low, want);
  const void* others[] = {low.data(), back.data(), nullptr};
  widen->Run(others, 1 << 16);
  ops.load_bf16(want.data(), expected.data(), 1 << 16);
  EXPECT_EQ(std::memcmp(back.data(), expected.data(), back.size() * sizeof(float)), 0);
}

// Numbers per channel and single ones, a comparison that only chooses, one that is read twice, constants, sums, and an
// output in place of an input.
TEST(TileCode, BackwardPassOfANorm) {
  if (!Avx512()) GTEST_SKIP() << "needs AVX-512";
  const B body = Body({Load(0), Load(1), Load(2), Load(3), Constant(0.0), Constant(0.5), Do(Op::kSub, 0, 2),
                       Do(Op::kMul, 6, 3), Do(Op::kGreater, 7, 4), Do(Op::kSelect, 8, 1, 4), Do(Op::kLess, 0, 5),
                       Do(Op::kMul, 9, 6), Do(Op::kAdd, 11, 10), Do(Op::kSelect, 10, 12, 9)},
                      {{9, B::kSum}, {12, B::kSum}, {13, B::kStore}});
  const auto code = TileCode::Make(body, {kImage, kImage, kChannels, kNumber}, {kSums, kSums, kImage});
  ASSERT_NE(code, nullptr);
  Rng rng(1);
  std::vector<float> x, dy, mean, sums(16), products(16);
  for (int i = 0; i < kPoints; ++i)
    x.push_back(static_cast<float>(rng.Uniform(-2, 2))), dy.push_back(static_cast<float>(rng.Uniform(-1, 1)));
  for (int i = 0; i < 16; ++i) mean.push_back(static_cast<float>(rng.Uniform(-1, 1)));
  const float scale = 1.7f;
  std::vector<float> want_dx, want_sums(16), want_products(16);
  for (size_t i = 0; i < kPoints; ++i) {
    const float centred = x[i] - mean[i % 16], chosen = centred * scale > 0 ? dy[i] : 0, low = x[i] < 0.5f ? 1 : 0;
    const float product = chosen * centred, sum = product + low;
    want_sums[i % 16] += chosen, want_products[i % 16] += sum;
    want_dx.push_back(low != 0 ? sum : chosen);
  }
  std::vector<const void*> operands = {x.data(),    dy.data(),       mean.data(), &scale,
                                       sums.data(), products.data(), dy.data()};
  operands.resize(code->operands());
  code->Run(operands.data(), kPoints);
  EXPECT_EQ(dy, want_dx);
  EXPECT_EQ(sums, want_sums);
  EXPECT_EQ(products, want_products);
}

// As many full operands as there are registers for addresses, and one more; more results at a time than registers.
TEST(TileCode, Limits) {
  if (!Avx512()) GTEST_SKIP() << "needs AVX-512";
  for (int operands : {12, 13}) {
    std::vector<B::Instr> instructions = {Load(0)};
    for (int i = 1; i < operands - 1; ++i) {
      instructions.push_back(Load(i));
      instructions.push_back(Do(Op::kAdd, 2 * i - 2, 2 * i - 1));
    }
    const B body = Body(instructions, {{static_cast<int>(instructions.size()) - 1, B::kStore}});
    const std::vector<TileOperand> in(static_cast<size_t>(operands - 1), kImage);
    const auto code = TileCode::Make(body, in, {kImage});
    ASSERT_EQ(code != nullptr, operands == 12);
    if (!code) continue;
    std::vector<std::vector<float>> x;
    std::vector<float> want(kPoints), out(kPoints);
    std::vector<const void*> at;
    for (int k = 0; k < operands - 1; ++k) {
      x.emplace_back();
      for (int i = 0; i < kPoints; ++i) x.back().push_back(static_cast<float>(i * 31 + k * 17));
      for (size_t i = 0; i < kPoints; ++i) want[i] += x.back()[i];
    }
    for (auto& v : x) at.push_back(v.data());
    at.push_back(out.data());
    at.resize(code->operands());
    code->Run(at.data(), kPoints);
    EXPECT_EQ(out, want);
  }
  for (int results : {28, 40}) {  // all are there before the first is read
    std::vector<B::Instr> instructions = {Load(0)};
    for (int i = 0; i < results; ++i) instructions.push_back(Do(Op::kAdd, i, 0));
    int sum = results;
    for (int i = results - 1; i > 0; --i) {
      instructions.push_back(Do(Op::kSub, sum, i));
      sum = static_cast<int>(instructions.size()) - 1;
    }
    const auto code = TileCode::Make(Body(instructions, {{sum, B::kStore}}), {kImage}, {kImage});
    EXPECT_EQ(code != nullptr, results == 28);
  }
}

}  // namespace
}  // namespace distil::onednn
