// Recompute: the same bits in less memory, and no work where none is won.
#include "lib/graph/recompute.h"

#include <gtest/gtest.h>

#include "lib/expr/lower.h"
#include "lib/expr/nn.h"
#include "lib/graph/fuse.h"
#include "lib/runtime/planner.h"
#include "tests/graph/random_graph.h"

namespace distil {
namespace {

Graph Fused(const Graph& g) {
  return Fuse(Lower(g, [](const Node&) { return false; }));
}

size_t Arena(Graph g) {
  MemoryPlan plan;
  const Status s = PlanMemory(ReferenceF64(), &g, &plan);
  EXPECT_TRUE(s.ok()) << s.message();
  return plan.arena;
}

int Count(const Graph& g, Op op) {
  int n = 0;
  for (NodeId id : LiveNodes(g)) n += g.node(id).op == op;
  return n;
}

// `depth` blocks of convolution, norm and `activation`, and the gradients by all weights as outputs.
template <class Activation>
void Train(Graph* g, Feeds* feeds, int depth, const Activation& activation) {
  const Shape image{4, 8, 12, 12};
  auto input = [&](const std::string& name, const Shape& s) {
    std::vector<double> values(static_cast<size_t>(s.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>((i * 37 + name.size()) % 64) / 32 - 1;
    (*feeds)[name] = {values, false};
    return Input(g, name, s);
  };
  Expr x = input("x", image);
  std::vector<Expr> weights;
  ConvAttrs same;
  same.pad[0] = same.pad[1] = 1;
  for (int i = 0; i < depth; ++i) {
    weights.push_back(input("w" + std::to_string(i), {8, 8, 3, 3}));
    x = Conv2d(x, weights.back(), same);
    const Expr centred = x - Mean(x, {0, 2, 3});
    x = activation(centred / Sqrt(Mean(Square(centred), {0, 2, 3}) + 1e-5));
  }
  const std::vector<Expr> gradients = Gradients(SumAll(Square(x)), weights);
  for (int i = 0; i < depth; ++i) g->Output("d" + std::to_string(i), gradients[static_cast<size_t>(i)].id());
}

// With gradients by what the graph reads, so that much is needed twice.
Graph WithGradients(const RandomGraph& r) {
  Graph g = r.graph;
  Expr loss = Constant(&g, 0.0);
  for (const auto& [name, v] : r.graph.outputs()) loss = loss + Reshape(SumAll(Square(Expr(&g, v))), {});
  std::vector<Expr> leaves;
  for (const VariableRef& v : r.variables) leaves.push_back(Read(&g, v));
  for (NodeId n : LiveNodes(r.graph))
    if (r.graph.node(n).op == Op::kInput) leaves.emplace_back(&g, r.graph.node(n).out[0]);
  const std::vector<Expr> gradients = Gradients(loss, leaves);
  for (size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].valid()) g.Output("d" + std::to_string(i), gradients[i].id());
  return Fused(g);
}

TEST(Recompute, RandomGraphsKeepTheirBits) {
  int more = 0;
  for (uint64_t seed : TestSeeds(200)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    RandomGraph plain(seed, ReferenceF64(), 40), again(seed, ReferenceF64(), 40);
    const Graph a = WithGradients(plain), b = Recompute(WithGradients(again), 16);
    more += LiveNodes(b).size() > LiveNodes(a).size();
    ExpectSameBits(RunOnce(ReferenceF64(), b, again.feeds), RunOnce(ReferenceF64(), a, plain.feeds));
    for (size_t i = 0; i < plain.variables.size(); ++i)
      EXPECT_EQ(ValuesOf(ReferenceF64(), again.variables[i]), ValuesOf(ReferenceF64(), plain.variables[i]));
    if (HasFailure()) return;
  }
  EXPECT_GT(more, 20) << "graphs in which anything was computed again";
}

// Of each block only the convolution's result is kept, not what its norm and ReLU make of it.
TEST(Recompute, TrainingKeepsOneImageALayer) {
  Graph g;
  Feeds feeds;
  constexpr int kDepth = 8;
  Train(&g, &feeds, kDepth, [](Expr x) { return Relu(x); });
  const Graph before = Fused(g), after = Recompute(before, 1024);
  const size_t image = 4 * 8 * 12 * 12 * sizeof(float);
  EXPECT_GE(Arena(before), (2 * kDepth - 1) * image);
  EXPECT_LE(Arena(after), (kDepth + 4) * image);
  EXPECT_LE(Count(after, Op::kFused), Count(before, Op::kFused) + kDepth);
  EXPECT_EQ(Count(after, Op::kConv2d), Count(before, Op::kConv2d));
  ExpectSameBits(RunOnce(ReferenceF64(), after, feeds), RunOnce(ReferenceF64(), before, feeds));
}

// What a channel shuffle makes of it is made again with it.
TEST(Recompute, ShuffledChannels) {
  Graph g;
  Feeds feeds;
  Train(&g, &feeds, 6, [](Expr x) {
    return Reshape(Transpose(Reshape(Relu(x), {4, 2, 4, 12, 12}), {0, 2, 1, 3, 4}), {4, 8, 12, 12});
  });
  const Graph before = Fused(g), after = Recompute(before, 1024);
  EXPECT_GT(Count(after, Op::kTranspose), Count(before, Op::kTranspose));
  EXPECT_LT(Arena(after), Arena(before) * 3 / 4);
  ExpectSameBits(RunOnce(ReferenceF64(), after, feeds), RunOnce(ReferenceF64(), before, feeds));
}

TEST(Recompute, TranscendentalFunctionsAreKept) {
  Graph g;
  Feeds feeds;
  Train(&g, &feeds, 6, [](Expr x) { return Sigmoid(x); });
  const Graph before = Fused(g);
  EXPECT_EQ(LiveNodes(Recompute(before, 1024)).size(), LiveNodes(before).size());
}

TEST(Recompute, SmallValuesAndForwardPassesStayAsTheyAre) {
  Graph g;
  Feeds feeds;
  Train(&g, &feeds, 6, [](Expr x) { return Relu(x); });
  const Graph before = Fused(g);
  EXPECT_EQ(LiveNodes(Recompute(before)).size(), LiveNodes(before).size());

  Graph forward;
  Expr x = Input(&forward, "x", {4, 8, 12, 12});
  for (int i = 0; i < 6; ++i) x = Relu(Conv2d(x, Input(&forward, "w", {8, 8, 1, 1}), {}));
  forward.Output("y", x.id());
  const Graph fused = Fused(forward);
  EXPECT_EQ(LiveNodes(Recompute(fused, 16)).size(), LiveNodes(fused).size());
}

}  // namespace
}  // namespace distil
