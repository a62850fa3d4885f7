// Fuse: the same results, and the passes over memory that the policy in fuse.h promises.
#include "lib/graph/fuse.h"

#include <gtest/gtest.h>

#include <limits>

#include "lib/expr/lower.h"
#include "lib/expr/nn.h"
#include "tests/graph/random_graph.h"

namespace distil {
namespace {

Graph Lowered(const Graph& g) {
  return Lower(g, [](const Node&) { return false; });
}

// Fused nodes that are live, and no pointwise op or reduction beside them.
std::vector<const Node*> FusedNodes(const Graph& g) {
  std::vector<const Node*> found;
  for (NodeId n : LiveNodes(g)) {
    const Node& node = g.node(n);
    EXPECT_FALSE((IsPointwise(node.op) || node.op == Op::kSum || node.op == Op::kMaxReduce) &&
                 !g.value(node.out[0]).index)
        << Describe(g, node);
    if (node.op == Op::kFused) found.push_back(&node);
  }
  return found;
}

// Tensors of this shape that fused nodes read, and that they write.
std::pair<int, int> Traffic(const Graph& g, const Shape& shape) {
  int reads = 0, writes = 0;
  for (const Node* n : FusedNodes(g)) {
    for (ValueId v : n->in) reads += g.value(v).shape == shape;
    for (ValueId v : n->out) writes += g.value(v).shape == shape;
  }
  return {reads, writes};
}

TEST(Fuse, RandomGraphsGiveTheSame) {
  for (uint64_t seed : TestSeeds(150)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    RandomGraph plain(seed, ReferenceF64(), 30), fused(seed, ReferenceF64(), 30);
    const Graph g = Fuse(Lowered(fused.graph));
    FusedNodes(g);
    const Fetches want = RunOnce(ReferenceF64(), plain.graph, plain.feeds);
    ExpectClose(RunOnce(ReferenceF64(), g, fused.feeds), want, 1e-11);
    for (size_t i = 0; i < plain.variables.size(); ++i)
      ExpectClose(ValuesOf(ReferenceF64(), fused.variables[i]), ValuesOf(ReferenceF64(), plain.variables[i]), 1e-11,
                  plain.variables[i]->name);
    if (HasFailure()) return;
  }
}

TEST(Fuse, AChainIsOnePass) {
  Graph g;
  const Shape s{8, 16, 20, 20};
  Expr x = Input(&g, "x", s), row = Input(&g, "row", {1, 16, 1, 1});
  g.Output("y", (Relu((x - row) * 2.0 + 1.0) * Tanh(row)).id());
  const Graph fused = Fuse(Lowered(g));
  EXPECT_EQ(Traffic(fused, s), std::make_pair(1, 1));
  EXPECT_LE(FusedNodes(fused).size(), 2u);  // Tanh of the row need not be computed everywhere
}

TEST(Fuse, LogSoftmaxReadsItsInputThreeTimes) {
  Graph g;
  const Shape s{512, 100};
  g.Output("y", LogSoftmax(Input(&g, "x", s)).id());
  // The maximum; the sum of exponentials; the result.
  EXPECT_EQ(Traffic(Fuse(Lowered(g)), s), std::make_pair(3, 1));
}

// Statistics: sum, and sum of squared differences; then the result. Backward: both sums in one pass, which also keeps
// dy where ReLU let it through; then dx.
TEST(Fuse, BatchNormWithRelu) {
  Graph g;
  const Shape s{16, 32, 12, 12};
  Expr x = Input(&g, "x", s), gamma = Input(&g, "gamma", {32}), beta = Input(&g, "beta", {32});
  const Normalized n = BatchNorm(x, gamma, beta, 1e-5);
  Expr y = Relu(n.y);
  g.Output("y", y.id());
  Graph forward = g;
  EXPECT_EQ(Traffic(Fuse(Lowered(forward)), s), std::make_pair(3, 1));

  Expr dy = Input(&g, "dy", s);
  const std::vector<Expr> wrt = {x, gamma, beta};
  const std::vector<Expr> d = Gradients(SumAll(y * dy), wrt);
  for (size_t i = 0; i < d.size(); ++i) g.Output("d" + std::to_string(i), d[i].id());
  const auto [reads, writes] = Traffic(Fuse(Lowered(g)), s);
  EXPECT_LE(reads, 3 + 3 + 2);
  EXPECT_LE(writes, 3);
}

TEST(Fuse, MomentumAndWeightAreOnePass) {
  Graph g;
  const Shape s{64, 64, 3, 3};
  auto variable = [&](const char* name) {
    return MakeVariable(ReferenceF64(), name, s, std::vector<double>(static_cast<size_t>(s.elements()), 1.0));
  };
  const VariableRef w = variable("w"), m = variable("m");
  Expr gradient = Input(&g, "g", s) + Read(&g, w) * 5e-4;
  Expr next = Read(&g, m) * 0.9 + gradient;
  g.Assign(m, next.id());
  g.Assign(w, (Read(&g, w) - next * 0.1).id());
  const Graph fused = Fuse(Lowered(g));
  ASSERT_EQ(FusedNodes(fused).size(), 1u);
  EXPECT_EQ(Traffic(fused, s), std::make_pair(3, 2));
}

// ... also when new values are admitted only after all gradients are known to be finite.
TEST(Fuse, GuardedUpdatesAreOnePass) {
  Graph g;
  const Shape s{64, 64, 3, 3};
  Expr ok = Constant(&g, 1.0);
  std::vector<Expr> gradients;
  for (int i = 0; i < 3; ++i) {
    gradients.push_back(Input(&g, "g" + std::to_string(i), s));
    ok = ok * Less(SumAll(Square(gradients.back())), 1e30);
  }
  for (int i = 0; i < 3; ++i) {
    auto variable = [&](const std::string& name) {
      return MakeVariable(ReferenceF64(), name + std::to_string(i), s,
                          std::vector<double>(static_cast<size_t>(s.elements()), 1.0));
    };
    const VariableRef w = variable("w"), m = variable("m");
    Expr next = Read(&g, m) * 0.9 + gradients[static_cast<size_t>(i)] + Read(&g, w) * 5e-4;
    g.Assign(m, Select(ok, next, Read(&g, m)).id());
    g.Assign(w, Select(ok, Read(&g, w) - next * 0.1, Read(&g, w)).id());
  }
  const Graph fused = Fuse(Lowered(g));
  EXPECT_EQ(Traffic(fused, s), std::make_pair(3 + 3 * 3, 3 * 2));  // sums of squares; then each update
}

// A value with several users: read again what it comes from, unless that costs more than keeping it.
TEST(Fuse, SharedValues) {
  Graph g;
  const Shape s{64, 32, 10, 10};
  Expr x = Input(&g, "x", s), y = Input(&g, "y", s), row = Input(&g, "row", {1, 32, 1, 1});
  Expr cheap = x * row, costly = Exp(x), two = x + y;
  for (Expr e : {cheap, costly, two}) {
    const std::string n = std::to_string(e.id());
    g.Output("transposed" + n, Transpose(e * 2.0, {1, 0, 2, 3}).id());
    g.Output("far" + n, (Sum(e, {0, 1, 2, 3}) + 1.0).id());
    g.Output("near" + n, (e - row).id());
  }
  const Fetches want = RunOnce(ReferenceF64(), g,
                               {{"x", {std::vector<double>(s.elements(), 0.5)}},
                                {"y", {std::vector<double>(s.elements(), 0.25)}},
                                {"row", {std::vector<double>(32, 3.0)}}});
  const Graph fused = Fuse(Lowered(g));
  int exps = 0;
  for (const Node* n : FusedNodes(fused))
    for (const FusedBody::Instr& i : n->fused->code) exps += i.kind == FusedBody::kOp && i.op == Op::kExp;
  EXPECT_EQ(exps, 1);
  ExpectClose(RunOnce(ReferenceF64(), fused,
                      {{"x", {std::vector<double>(s.elements(), 0.5)}},
                       {"y", {std::vector<double>(s.elements(), 0.25)}},
                       {"row", {std::vector<double>(32, 3.0)}}}),
              want, 1e-12);
}

TEST(Fuse, ConstantsKeepTheirBits) {
  Graph g;
  Expr x = Input(&g, "x", {5});
  g.Output("nan", (x + std::numeric_limits<double>::quiet_NaN()).id());
  g.Output("one", (x + 1.0).id());
  g.Output("zero", (x / 0.0).id());
  g.Output("minus", (x / -0.0).id());
  const Graph fused = Fuse(Lowered(g));
  const Fetches got = RunOnce(ReferenceF64(), fused, {{"x", {std::vector<double>(5, 2.0)}}});
  EXPECT_TRUE(std::isnan(got.at("nan")[0]));
  EXPECT_EQ(got.at("one")[0], 3.0);
  EXPECT_EQ(got.at("zero")[0], std::numeric_limits<double>::infinity());
  EXPECT_EQ(got.at("minus")[0], -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace distil
