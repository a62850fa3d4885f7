// Every case of op_cases.cc through every check: against the reference in f64, against finite differences,
// against its own second run, and against its expansion into primitives.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "lib/expr/lower.h"
#include "tests/ops/op_cases.h"

namespace distil {
namespace {

constexpr int kSeeds = 4;

// A case, built: outputs y0, y1, ...; then first derivatives of a random projection of them.
struct Built {
  explicit Built(const OpCase& c, uint64_t seed, bool bf16) : sample(seed, bf16) {
    y = c.build(sample);
    for (size_t i = 0; i < y.size(); ++i) sample.graph.Output("y" + std::to_string(i), y[i].id());
    EXPECT_TRUE(sample.graph.ok()) << sample.graph.error();
    sample.graph.low_scope = false;
  }

  // sum over i of <e_i, random tensor>, the tensors being inputs named `name`0, `name`1, ...
  Expr Project(const std::vector<Expr>& es, const std::string& name) {
    Expr total = Constant(&sample.graph, 0);
    for (size_t i = 0; i < es.size(); ++i) {
      if (es[i].index()) continue;
      const std::string input = name + std::to_string(i);
      Feed f;
      for (int64_t n = es[i].shape().elements(); n > 0; --n)
        f.values.push_back(static_cast<float>(sample.rng.Uniform(-1, 1)));
      feeds[input] = f;
      total = total + SumAll(es[i] * Input(&sample.graph, input, es[i].shape()));
    }
    return total;
  }

  Sample sample;
  std::vector<Expr> y;
  Feeds feeds;  // of the projections

  Feeds all() const {
    Feeds f = sample.feeds();
    f.insert(feeds.begin(), feeds.end());
    return f;
  }
};

// Compares the output "loss" at inputs moved to both sides with the outputs "d0", "d1", ... of the sample's
// inputs.
void CheckDerivatives(Built& b, const std::vector<Expr>& d) {
  for (size_t i = 0; i < d.size(); ++i) b.sample.graph.Output("d" + std::to_string(i), d[i].id());
  ASSERT_TRUE(b.sample.graph.ok()) << b.sample.graph.error();
  Compiled program(ReferenceF64(), b.sample.graph);
  if (!program.ok()) return;
  const Feeds feeds = b.all();
  const Fetches at = program.Run(feeds);
  const double h = 1e-5;
  Rng directions(7);
  for (size_t i = 0; i < d.size(); ++i) {
    const Expr x = b.sample.inputs()[i];
    const std::string& name = b.sample.graph.producer(x.id()).name;
    const std::vector<double>& values = feeds.at(name).values;
    const std::vector<double>& slope = at.at("d" + std::to_string(i));
    ASSERT_EQ(slope.size(), values.size());
    for (int trial = 0; trial < 8; ++trial) {  // two directions, then single elements
      std::vector<double> u(values.size(), 0.0);
      if (trial < 2) {
        for (double& v : u) v = directions.Uniform(-1, 1);
      } else {
        u[static_cast<size_t>(directions.Int(0, static_cast<int64_t>(u.size()) - 1))] = 1;
      }
      double want = 0, scale = 1, loss[2];
      for (int side = 0; side < 2; ++side) {
        Feed moved = feeds.at(name);
        for (size_t k = 0; k < u.size(); ++k) moved.values[k] += (side ? h : -h) * u[k];
        program.Set(name, moved);
        loss[side] = program.Run().at("loss")[0];
      }
      program.Set(name, feeds.at(name));
      for (size_t k = 0; k < u.size(); ++k) want += slope[k] * u[k], scale += std::abs(slope[k] * u[k]);
      EXPECT_NEAR((loss[1] - loss[0]) / (2 * h), want, 1e-6 * scale) << "input " << name << ", trial " << trial;
    }
  }
}

// Positions of the cases that have derivatives of this order.
std::vector<size_t> CasesWith(int derivatives) {
  std::vector<size_t> cases;
  for (size_t i = 0; i < OpCases().size(); ++i)
    if (OpCases()[i].derivatives >= derivatives) cases.push_back(i);
  return cases;
}

std::string CaseName(const testing::TestParamInfo<size_t>& info) { return OpCases()[info.param].name; }

// ---- Every backend

class Backends : public testing::TestWithParam<std::tuple<size_t, size_t>> {
 protected:
  const TestBackend& backend() const { return TestBackends()[std::get<0>(GetParam())]; }
  const OpCase& op_case() const { return OpCases()[std::get<1>(GetParam())]; }
};

// Values and first derivatives, as one program.
TEST_P(Backends, AgreeWithReference) {
  for (uint64_t seed : TestSeeds(kSeeds)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Built b(op_case(), seed, backend().bf16);
    if (op_case().derivatives > 0 && !b.sample.inputs().empty()) {
      b.sample.graph.low_scope = backend().bf16;
      const std::vector<Expr> d = Gradients(b.Project(b.y, "p"), b.sample.inputs());
      for (size_t i = 0; i < d.size(); ++i) b.sample.graph.Output("d" + std::to_string(i), d[i].id());
    }
    const std::unique_ptr<Backend> under_test = backend().make();
    const CompileOptions options = {.bf16 = backend().bf16};
    const Fetches want = RunOnce(ReferenceF64(), b.sample.graph, b.all());
    Compiled program(under_test.get(), b.sample.graph, options);
    if (!program.ok()) return;
    const Fetches got = program.Run(b.all());
    ExpectClose(got, want, op_case().tolerance * backend().eps);
    ExpectSameBits(got, program.Run());
    ExpectSameBits(got, RunOnce(under_test.get(), b.sample.graph, b.all(), options));
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, Backends,
                         testing::Combine(testing::Range<size_t>(0, TestBackends().size()),
                                          testing::Range<size_t>(0, OpCases().size())),
                         [](const auto& info) {
                           return std::string(TestBackends()[std::get<0>(info.param)].name) + "_" +
                                  OpCases()[std::get<1>(info.param)].name;
                         });

// ---- The rules of autodiff and of Lower, in f64

class Lowering : public testing::TestWithParam<size_t> {
 protected:
  const OpCase& op_case() const { return OpCases()[GetParam()]; }
};
class FirstDerivative : public Lowering {};
class SecondDerivative : public Lowering {};

TEST_P(FirstDerivative, AgreesWithDifferences) {
  for (uint64_t seed : TestSeeds(kSeeds)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Built b(op_case(), seed, false);
    Expr loss = b.Project(b.y, "p");
    b.sample.graph.Output("loss", loss.id());
    CheckDerivatives(b, Gradients(loss, b.sample.inputs()));
  }
}

// The gradient of a random projection of the gradient.
TEST_P(SecondDerivative, AgreesWithDifferences) {
  for (uint64_t seed : TestSeeds(kSeeds)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Built b(op_case(), seed, false);
    const std::vector<Expr> first = Gradients(b.Project(b.y, "p"), b.sample.inputs());
    Expr loss = b.Project(first, "q");
    b.sample.graph.Output("loss", loss.id());
    CheckDerivatives(b, Gradients(loss, b.sample.inputs()));
  }
}

TEST_P(Lowering, ChangesNoValue) {
  for (uint64_t seed : TestSeeds(kSeeds)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    Built b(op_case(), seed, false);
    const Graph lowered = Lower(b.sample.graph, [](const Node&) { return false; });
    for (NodeId n = 0; n < lowered.node_count(); ++n) {
      EXPECT_NE(lowered.node(n).op, Op::kStopGradient);
      EXPECT_NE(lowered.node(n).op, Op::kBatchNorm);
    }
    ExpectClose(RunOnce(ReferenceF64(), lowered, b.all()), RunOnce(ReferenceF64(), b.sample.graph, b.all()), 1e-13);
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, FirstDerivative, testing::ValuesIn(CasesWith(1)), CaseName);
INSTANTIATE_TEST_SUITE_P(Ops, SecondDerivative, testing::ValuesIn(CasesWith(2)), CaseName);
INSTANTIATE_TEST_SUITE_P(Ops, Lowering, testing::ValuesIn(CasesWith(0)), CaseName);

// ---- The table itself

TEST(OpCases, EveryOpHasOne) {
  std::set<Op> covered;
  for (const OpCase& c : OpCases()) {
    if (!c.op) continue;
    covered.insert(*c.op);
    Built b(c, 1, false);  // and contains it
    bool found = false;
    for (NodeId n : LiveNodes(b.sample.graph)) found = found || b.sample.graph.node(n).op == *c.op;
    EXPECT_TRUE(found) << c.name << " does not use " << OpName(*c.op);
  }
#define POINTWISE(name, ...) EXPECT_TRUE(covered.count(Op::k##name)) << #name << " has no case in op_cases.cc";
#include "lib/graph/pointwise.def"
#undef POINTWISE
#define OP(name, ...) \
  EXPECT_TRUE(!NeedsCase(Op::k##name) || covered.count(Op::k##name)) << #name << " has no case in op_cases.cc";
#include "lib/graph/ops.def"
#undef OP
}

}  // namespace
}  // namespace distil
