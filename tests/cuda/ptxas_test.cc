// The toolkit's assembler accepts what the generator writes, for both generations of GPUs, without a warning, and finds
// registers for it. Skipped without a toolkit.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/cuda/run_fused.h"
#include "tests/graph/random_body.h"

namespace distil::cuda {
namespace {

std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return "cannot run " + command;
  std::array<char, 4096> piece;
  while (const size_t n = std::fread(piece.data(), 1, piece.size(), pipe)) text.append(piece.data(), n);
  if (pclose(pipe)) text += "\nfailed: " + command;
  return text;
}

class Ptxas : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("DISTIL_PTXAS");
    if (!path || !*path) GTEST_SKIP() << "there is no CUDA toolkit, so nothing assembles PTX";
    ptxas_ = path;
  }
  void Assemble(const Pass& p, bool many = false) {
    const std::string file = std::string(std::getenv("TEST_TMPDIR")) + "/fused.ptx";
    std::ofstream(file) << FusedCode(p, many);
    for (const char* arch : {"sm_80", "sm_90"}) {
      const std::string out = Output(ptxas_ + " -v -arch=" + arch + " -o /dev/null " + file);
      EXPECT_NE(out.find("0 bytes spill stores"), std::string::npos) << out << FusedCode(p, many);
      EXPECT_EQ(out.find("warning"), std::string::npos) << out << FusedCode(p, many);
      EXPECT_EQ(out.find("failed"), std::string::npos) << out << FusedCode(p, many);
    }
  }
  void AssembleAll(const RandomBody& b) {
    std::vector<Operand> in, out;
    auto of = [](const BodyOperand& o) {
      Value v;
      v.shape = o.shape, v.layout = o.layout, v.dtype = o.dtype;
      return OperandOf(v);
    };
    for (const BodyOperand& o : b.in) in.push_back(of(o));
    for (const BodyOperand& o : b.out) out.push_back(of(o));
    FusedPlan plan;
    ASSERT_TRUE(PlanFused(b.body, in, out, &plan).ok());
    for (const Pass& p : plan.passes) Assemble(p);
  }

 private:
  std::string ptxas_;
};

TEST_F(Ptxas, RandomBodies) {
  for (uint64_t seed : TestSeeds(12)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    AssembleAll(AnyBody(&rng, false));
  }
}

BodyOperand Plain(const Shape& s) { return {s, Layout::kPlain, DType::kF32, {}, 0}; }

// Every op at least once, flat and for many nodes.
TEST_F(Ptxas, EveryOp) {
  RandomBody b;
  b.body = BodyOfOneLoad({4097}, {});
  for (Op op : kPointwise) {
    const auto last = static_cast<int32_t>(b.body.code.size()) - 1;
    b.body.code.push_back({FusedBody::kOp, op, {last, 0, last}, 0});
  }
  b.body.outs = {{static_cast<int32_t>(b.body.code.size()) - 1, FusedBody::kStore, {4097}}};
  b.in = {Plain({4097})}, b.out = {Plain({4097})};
  AssembleAll(b);
  FusedPlan plan;
  const Operand o{DType::kF32, {1}, 0};
  ASSERT_TRUE(PlanFused(b.body, {o}, {o}, &plan).ok());
  Assemble(plan.passes[0], true);
  plan.passes[0].wide = true;
  Assemble(plan.passes[0]);
}

// The largest bodies that Fuse makes: 32 operands, 192 instructions, 16 results.
TEST_F(Ptxas, LargeBodies) {
  for (bool reduce : {false, true}) {
    const Shape space{64, 256, 8, 8}, row{1, 256, 1, 1};
    RandomBody b;
    b.body.space = space;
    for (int i = 0; i < 32; ++i) {
      b.body.code.push_back({FusedBody::kLoad, Op::kInput, {i, 0, 0}, 0});
      b.in.push_back({i % 4 == 3 ? row : space, Layout::kNhwc, i % 2 ? DType::kBF16 : DType::kF32, {}, 0});
    }
    for (int i = 32; i < 192; ++i)
      b.body.code.push_back({FusedBody::kOp, i % 3 ? Op::kAdd : Op::kMul, {i - 1, (i * 7) % 32, 0}, 0});
    for (int i = 0; i < 16; ++i) {
      const bool sum = reduce && i % 2;
      b.body.outs.push_back({191 - i * 5, sum ? FusedBody::kSum : FusedBody::kStore, sum ? row : space});
      b.out.push_back({sum ? row : space, Layout::kNhwc, DType::kF32, {}, 0});
    }
    AssembleAll(b);
  }
}

}  // namespace
}  // namespace distil::cuda
