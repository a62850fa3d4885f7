// Fold: what goes into a convolution and what must not.
#include "lib/graph/fold.h"

#include <gtest/gtest.h>

#include "lib/expr/layers.h"
#include "lib/expr/lower.h"
#include "tests/graph/random_graph.h"

namespace distil {
namespace {

Graph Folded(const Graph& g) {
  return Fold(Lower(g, [](const Node&) { return false; }));
}

int Count(const Graph& g, Op op) {
  int n = 0;
  for (NodeId id : LiveNodes(g)) n += g.node(id).op == op;
  return n;
}

// Of the only convolution.
ConvAttrs ConvOf(const Graph& g) {
  ConvAttrs a;
  for (NodeId id : LiveNodes(g))
    if (g.node(id).op == Op::kConv2d) a = ConvAttrs::Unpack(g.node(id).ints);
  EXPECT_EQ(Count(g, Op::kConv2d), 1);
  return a;
}

TEST(Fold, RandomGraphsGiveTheSame) {
  // Frozen convolutions are what folding is about, so a graph that assigns nothing has most of it.
  for (uint64_t seed : TestSeeds(150)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    RandomGraph plain(seed, ReferenceF64(), 25);
    const Graph g = Folded(plain.graph);
    Graph pure;  // without the assignments
    std::vector<ValueId> map(plain.graph.value_count(), kNoValue);
    for (NodeId n = 0; n < plain.graph.node_count(); ++n) CopyNode(plain.graph, n, &pure, &map);
    for (auto& [name, v] : plain.graph.outputs()) pure.Output(name, map[v]);
    const Fetches want = RunOnce(ReferenceF64(), pure, plain.feeds);
    ExpectClose(RunOnce(ReferenceF64(), Folded(pure), plain.feeds), want, 1e-11);
    ExpectClose(RunOnce(ReferenceF64(), g, plain.feeds), want, 1e-11);
    if (HasFailure()) return;
  }
}

class FoldTest : public testing::Test {
 protected:
  FoldTest() : set_([](Variable* v, const Init& i) { return AllocateVariable(ReferenceF64(), 1, i, v); }) {}
  Layers Eval() { return Layers(&g_, &set_, {.train = false}); }
  Graph g_;
  VariableSet set_;
  Expr x_ = Input(&g_, "x", {2, 16, 6, 6});
};

TEST_F(FoldTest, FrozenConvNormAddRelu) {
  Layers l = Eval();
  Expr r = Input(&g_, "r", {2, 32, 6, 6});
  g_.Output("y", Relu(l.BatchNorm("bn", l.Conv("conv", x_, 32, 3, {.bias = true})) + r).id());
  const ConvAttrs a = ConvOf(Folded(g_));
  EXPECT_TRUE(a.bias && a.residual && a.relu);
  // What is left computes weights and biases, and depends on variables only.
  const Graph folded = Folded(g_);
  for (NodeId id : LiveNodes(folded))
    if (IsPointwise(folded.node(id).op)) {
      EXPECT_LE(folded.value(folded.node(id).out[0]).shape.elements(), 32 * 16 * 9);
    }
}

TEST_F(FoldTest, ABlockIsOneNodeForEachConvolution) {
  Layers l = Eval();
  Expr x = x_;
  for (int i = 0; i < 3; ++i) {
    Layers b = l.Scope("block" + std::to_string(i));
    Expr y = Relu(b.BatchNorm("bn1", b.Conv("conv1", x, 16, 3)));
    x = Relu(b.BatchNorm("bn2", b.Conv("conv2", y, 16, 3)) + x);
  }
  g_.Output("y", x.id());
  const Graph folded = Folded(g_);
  for (NodeId id : LiveNodes(folded)) {
    const Node& n = folded.node(id);
    if (folded.value(n.out[0]).shape == x_.shape()) {
      EXPECT_TRUE(n.op == Op::kConv2d || n.op == Op::kInput) << Describe(folded, n);
    }
  }
  EXPECT_EQ(Count(folded, Op::kConv2d), 6);
}

TEST_F(FoldTest, ValuesThatOthersReadStay) {
  Layers l = Eval();
  Expr y = l.Conv("conv", x_, 16, 3), n = l.BatchNorm("bn", y), z = Relu(n);
  g_.Output("conv", y.id());
  g_.Output("z", z.id());
  const ConvAttrs a = ConvOf(Folded(g_));
  EXPECT_FALSE(a.bias || a.residual || a.relu);
}

TEST_F(FoldTest, WeightsThatTrainKeepTheirScaleOutside) {
  Layers l = Eval();
  Expr y = l.BatchNorm("bn", l.Conv("conv", x_, 16, 3)) + x_;
  const VariableRef w = set_.Find("conv.weight");
  g_.Assign(w, (Read(&g_, w) * 0.5).id());
  g_.Output("y", y.id());
  const ConvAttrs a = ConvOf(Folded(g_));
  EXPECT_FALSE(a.residual || a.relu);
  EXPECT_GT(Count(Folded(g_), Op::kMul), 2);
}

// One output channel that is broadcast to many: the sum has more channels than the convolution.
TEST_F(FoldTest, ABroadcastSumIsNoBias) {
  Layers l = Eval();
  Expr y = l.Conv("conv", x_, 1, 1);
  g_.Output("a", (y + Input(&g_, "b", {1, 16, 1, 1})).id());
  Graph folded = Folded(g_);
  EXPECT_EQ(folded.error(), "");
  EXPECT_FALSE(ConvOf(folded).bias);
  g_.Output("r", (y + Input(&g_, "r", {2, 4, 6, 6})).id());
  EXPECT_EQ(Folded(g_).error(), "");
}

}  // namespace
}  // namespace distil
