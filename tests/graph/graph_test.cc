// Building graphs: what is refused and with which words, what is shared, what is live, what Lower leaves.
#include "lib/graph/graph.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "lib/expr/expr.h"
#include "lib/expr/layers.h"
#include "lib/expr/lower.h"
#include "lib/expr/nn.h"

namespace distil {
namespace {

constexpr int64_t kHuge = INT64_MAX;

VariableRef Var(const std::string& name, const Shape& shape) {
  auto v = std::make_shared<Variable>();
  v->name = name;
  v->shape = shape;
  return v;
}

bool Contains(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }

Expr Primitive(Graph& g, Op op, const std::vector<Expr>& in, std::vector<int64_t> ints) {
  std::vector<ValueId> ids;
  for (const Expr& e : in) ids.push_back(e.id());
  return {&g, g.AddValue(op, ids, std::move(ints))};
}

ConvAttrs ConvWith(const std::function<void(ConvAttrs&)>& set) {
  ConvAttrs a;
  set(a);
  return a;
}
PoolAttrs PoolWith(int64_t kernel, int64_t stride, int64_t pad) {
  PoolAttrs a;
  a.kernel[0] = a.kernel[1] = kernel, a.stride[0] = a.stride[1] = stride, a.pad[0] = a.pad[1] = pad;
  return a;
}

// ---- Errors
// ------------------------------------------------------------------------------------------------------

struct Mistake {
  const char* name;
  std::function<void(Graph&)> make;
  std::vector<std::string> words;  // all of them in the message
};

const std::vector<Mistake>& Mistakes() {
  static const std::vector<Mistake> mistakes = {
      {"Broadcast",
       [](Graph& g) {
         Input(&g, "a", {2, 3}) + Input(&g, "b", {2, 4});
       },
       {"Add([2,3], [2,4])", "extents 3 and 4 of axis 1 do not broadcast"}},
      {"BroadcastTo",
       [](Graph& g) {
         BroadcastTo(Input(&g, "a", {2, 3}), {2, 6});
       },
       {"Broadcast([2,3])", "[2,6]"}},
      {"MatMulInner",
       [](Graph& g) {
         MatMul(Input(&g, "a", {2, 3}), Input(&g, "b", {4, 5}));
       },
       {"MatMul([2,3], [4,5])", "inner extents 3 and 4 differ"}},
      {"MatMulRank",
       [](Graph& g) {
         MatMul(Input(&g, "a", {2}), Input(&g, "b", {2, 5}));
       },
       {"MatMul", "rank"}},
      {"MatMulBatch",
       [](Graph& g) {
         MatMul(Input(&g, "a", {2, 3, 4}), Input(&g, "b", {3, 4, 5}));
       },
       {"MatMul([2,3,4], [3,4,5])", "batch"}},
      {"ConvChannels",
       [](Graph& g) {
         Conv2d(Input(&g, "x", {1, 3, 8, 8}), Input(&g, "w", {4, 5, 3, 3}), {});
       },
       {"Conv2d([1,3,8,8], [4,5,3,3])", "expects 5 input channels, the input has 3"}},
      {"ConvKernel",
       [](Graph& g) {
         Conv2d(Input(&g, "x", {1, 3, 2, 2}), Input(&g, "w", {4, 3, 3, 3}), {});
       },
       {"Conv2d", "kernel is larger than the padded input"}},
      {"ConvGroups",
       [](Graph& g) {
         Conv2d(Input(&g, "x", {1, 3, 8, 8}), Input(&g, "w", {4, 1, 3, 3}), ConvWith([](auto& a) { a.groups = 2; }));
       },
       {"Conv2d", "do not divide into 2 groups"}},
      {"ConvStride",
       [](Graph& g) {
         Conv2d(Input(&g, "x", {1, 3, 8, 8}), Input(&g, "w", {4, 3, 3, 3}), ConvWith([](auto& a) { a.stride[0] = 0; }));
       },
       {"Conv2d", "stride"}},
      {"PoolPadding",
       [](Graph& g) {
         MaxPool(Input(&g, "x", {1, 1, 8, 8}), PoolWith(2, 2, 2));
       },
       {"MaxPool([1,1,8,8], [1,1,8,8])", "padding is at most half the kernel"}},
      {"PoolKernel",
       [](Graph& g) {
         AvgPool(Input(&g, "x", {1, 1, 2, 2}), PoolWith(3, 1, 0));
       },
       {"AvgPool([1,1,2,2])", "kernel is larger"}},
      {"Reshape",
       [](Graph& g) {
         Reshape(Input(&g, "x", {2, 3}), {4, 2});
       },
       {"Reshape([2,3])", "[4,2] has 8 elements, the operand 6"}},
      {"ReshapeOpen",
       [](Graph& g) {
         Reshape(Input(&g, "x", {2, 3}), {4, -1});
       },
       {"Reshape([2,3])"}},
      {"ReshapeTwoOpen",
       [](Graph& g) {
         Reshape(Input(&g, "x", {2, 3}), {-1, -1});
       },
       {"Reshape([2,3])"}},
      {"ReshapeNegative",
       [](Graph& g) {
         Reshape(Input(&g, "x", {2, 3}), {-2, -3});
       },
       {"Reshape([2,3])"}},
      {"Transpose",
       [](Graph& g) {
         Transpose(Input(&g, "x", {2, 3}), {0, 0});
       },
       {"Transpose([2,3])", "permutation"}},
      {"TransposeRange",
       [](Graph& g) {
         Transpose(Input(&g, "x", {2, 3}), {0, 7});
       },
       {"Transpose([2,3])"}},
      {"SliceRange",
       [](Graph& g) {
         Slice(Input(&g, "x", {2, 3}), 1, 2, 2);
       },
       {"Slice([2,3])", "axis 1: begin 2, extent 2, step 1 does not fit into 3"}},
      {"SliceAxis",
       [](Graph& g) {
         Slice(Input(&g, "x", {2, 3}), 2, 0, 1);
       },
       {"Slice", "axis 2", "rank 2"}},
      {"SliceNegative",
       [](Graph& g) {
         Slice(Input(&g, "x", {2, 3}), 1, -1, 1);
       },
       {"Slice([2,3])", "begin -1"}},
      {"SliceStep",
       [](Graph& g) {
         Slice(Input(&g, "x", {2, 3}), 1, 0, 1, 0);
       },
       {"Slice([2,3])", "steps"}},
      {"Concat",
       [](Graph& g) {
         Concat({Input(&g, "a", {2, 3}), Input(&g, "b", {3, 3})}, 1);
       },
       {"Concat([2,3], [3,3])", "differ on axis 0"}},
      {"ConcatKinds",
       [](Graph& g) {
         Concat({Input(&g, "a", {2}), IndexInput(&g, "b", {2})}, 0);
       },
       {"Concat", "index"}},
      {"SumAxis",
       [](Graph& g) {
         Sum(Input(&g, "x", {2, 3}), {2});
       },
       {"Sum([2,3])", "axis 2 is outside rank 2"}},
      {"MaxAxis",
       [](Graph& g) {
         MaxOf(Input(&g, "x", {2, 3}), {-3});
       },
       {"MaxReduce([2,3])", "outside rank 2"}},
      {"BatchNormRank",
       [](Graph& g) {
         BatchNorm(Input(&g, "x", {2, 3, 4}), Input(&g, "g", {3}), Input(&g, "b", {3}), 1e-5);
       },
       {"BatchNorm([2,3,4], [3], [3])", "rank 2 or 4"}},
      {"BatchNormOne",
       [](Graph& g) {
         BatchNorm(Input(&g, "x", {1, 3}), Input(&g, "g", {3}), Input(&g, "b", {3}), 1e-5);
       },
       {"BatchNorm", "more than one value per channel"}},
      {"GatherReal",
       [](Graph& g) {
         Gather(Input(&g, "t", {4, 2}), Input(&g, "i", {3}));
       },
       {"Gather", "indices"}},
      {"ScatterRows",
       [](Graph& g) {
         ScatterAdd(Input(&g, "r", {4, 2}), IndexInput(&g, "i", {3}), 5);
       },
       {"ScatterAdd([4,2], [3])", "one index for each"}},
      {"RandomIds",
       [](Graph& g) {
         Random(IndexInput(&g, "key", {4}), IndexInput(&g, "ids", {3}), 0, {4, 2});
       },
       {"Random", "one sample id per row"}},
      {"RandomSlot",
       [](Graph& g) {
         Random(IndexInput(&g, "key", {4}), IndexInput(&g, "ids", {3}), 256, {3, 2});
       },
       {"Random", "slot 256"}},
      {"InputTwice", [](Graph& g) { Input(&g, "x", {2}), Input(&g, "x", {3}); }, {"Input x", "used twice"}},
      {"OutputTwice",
       [](Graph& g) {
         Expr x = Input(&g, "x", {2});
         g.Output("y", x.id());
         g.Output("y", x.id());
       },
       {"output y", "used twice"}},
      {"AssignShape", [](Graph& g) { g.Assign(Var("v", {3}), Input(&g, "x", {2}).id()); }, {"assign v", "[3]", "[2]"}},
      {"AssignIndex",
       [](Graph& g) { g.Assign(Var("v", {2}), IndexInput(&g, "x", {2}).id()); },
       {"assign v", "indices"}},
      {"ReadNothing", [](Graph& g) { g.Read(nullptr); }, {"Variable", "missing"}},
      {"EmptyOperand", [](Graph& g) { Input(&g, "x", {2}) + Expr(); }, {"Add", "an operand is missing"}},
      {"TwoGraphs",
       [](Graph& g) {
         Graph other;
         Input(&g, "x", {2}) + Input(&other, "y", {2});
       },
       {"Add", "two graphs"}},
      {"GradientOfTensor",
       [](Graph& g) {
         Expr x = Input(&g, "x", {2});
         Gradients(x, std::vector<Expr>{x});
       },
       {"Gradients", "one number", "[2]"}},
      {"TopK",
       [](Graph& g) {
         TopK(Input(&g, "x", {2, 3}), 4);
       },
       {"TopK", "4 of 3"}},
      {"KthSmallest",
       [](Graph& g) {
         KthSmallest(Input(&g, "x", {2, 3}), 3);
       },
       {"KthSmallest", "3 of 3"}},
      {"ChannelShuffle",
       [](Graph& g) {
         ChannelShuffle(Input(&g, "x", {1, 5, 2, 2}), 2);
       },
       {"ChannelShuffle", "5 channels", "2 groups"}},
      {"Dropout",
       [](Graph& g) {
         Dropout(Input(&g, "x", {2, 3}), 1.0, IndexInput(&g, "key", {4}), IndexInput(&g, "ids", {2}), 0);
       },
       {"Dropout", "[0,1)"}},
      {"Resize",
       [](Graph& g) {
         ResizeBilinear(Input(&g, "x", {2, 3}), 4, 4);
       },
       {"ResizeBilinear", "rank 4", "[2,3]"}},
      // Hostile sizes: refused before anything overflows.
      {"ResizeHuge",
       [](Graph& g) {
         ResizeNearest(Input(&g, "x", {1, 1, 4, 4}), kHuge, 2);
       },
       {"ResizeNearest", "4096", "[1,1,4,4]"}},
      {"InputProduct",
       [](Graph& g) {
         Input(&g, "x", {1 << 30, 1 << 30, 1 << 30});
       },
       {"Input x", "too large"}},
      {"InputHuge", [](Graph& g) { Input(&g, "x", {kHuge}); }, {"Input x", "too large"}},
      {"InputZero",
       [](Graph& g) {
         Input(&g, "x", {2, 0});
       },
       {"Input x", "extent below 1"}},
      {"InputNegative",
       [](Graph& g) {
         Input(&g, "x", {-2, -2});
       },
       {"Input x", "extent below 1"}},
      {"InputRank",
       [](Graph& g) {
         Input(&g, "x", {1, 1, 1, 1, 1, 1, 1, 1, 1});
       },
       {"Input x", "rank above 8"}},
      {"VariableHuge",
       [](Graph& g) {
         g.Read(Var("v", {kHuge, kHuge}));
       },
       {"Variable v", "too large"}},
      {"ReshapeHuge",
       [](Graph& g) {
         Reshape(Input(&g, "x", {2, 3}), {kHuge, 3, -1});
       },
       {"Reshape([2,3])"}},
      {"ReshapeWrap",
       [](Graph& g) {
         Reshape(Input(&g, "x", {2}), {int64_t{1} << 32, int64_t{1} << 32, 2});
       },
       {"Reshape([2])"}},
      {"BroadcastHuge",
       [](Graph& g) {
         BroadcastTo(Input(&g, "x", {1, 1}), {kHuge, kHuge});
       },
       {"Broadcast", "too large"}},
      {"OuterProduct",
       [](Graph& g) {
         Input(&g, "a", {int64_t{1} << 30, 1}) * Input(&g, "b", {1, int64_t{1} << 30});
       },
       {"Mul", "too large"}},
      {"ConvPadHuge",
       [](Graph& g) {
         Conv2d(Input(&g, "x", {1, 1, 8, 8}), Input(&g, "w", {1, 1, 3, 3}),
                ConvWith([](auto& a) { a.pad[0] = a.pad[1] = kHuge / 2; }));
       },
       {"Conv2d", "padding"}},
      {"ConvDilationHuge",
       [](Graph& g) {
         Conv2d(Input(&g, "x", {1, 1, 8, 8}), Input(&g, "w", {1, 1, 3, 3}),
                ConvWith([](auto& a) { a.dilation[0] = kHuge; }));
       },
       {"Conv2d", "dilation"}},
      {"ConvTransposeHuge",
       [](Graph& g) {
         ConvTranspose2d(Input(&g, "x", {1, 1, 8, 8}), Input(&g, "w", {1, 1, 3, 3}),
                         ConvWith([](auto& a) { a.groups = kHuge, a.size[0] = a.size[1] = kHuge; }));
       },
       {"Conv2dInput"}},
      {"ConvWeightNegative",
       [](Graph& g) {
         Primitive(g, Op::kConv2dWeight, {Input(&g, "x", {1, 1, 8, 8}), Input(&g, "y", {1, 1, 8, 8})},
                   ConvWith([](auto& a) { a.size[0] = INT64_MIN; }).Pack());
       },
       {"Conv2dWeight", "out of range"}},
      {"PoolPadHuge",
       [](Graph& g) {
         AvgPool(Input(&g, "x", {1, 1, 8, 8}), PoolWith(kHuge, 1, kHuge));
       },
       {"AvgPool"}},
      {"PoolGradHuge",
       [](Graph& g) {
         PoolAttrs a = PoolWith(2, 2, 0);
         a.size[0] = a.size[1] = kHuge;
         Primitive(g, Op::kAvgPoolGrad, {Input(&g, "y", {1, 1, 4, 4})}, a.Pack());
       },
       {"AvgPoolGrad", "out of range"}},
      {"AdaptiveHuge",
       [](Graph& g) {
         AdaptiveAvgPool(Input(&g, "x", {1, 1, 8, 8}), kHuge, kHuge);
       },
       {"AvgPool", "too large"}},
      {"SliceHuge", [](Graph& g) { Slice(Input(&g, "x", {8}), 0, 1, kHuge, kHuge); }, {"Slice([8])"}},
      {"PadHuge", [](Graph& g) { Pad(Input(&g, "x", {8}), 0, kHuge, kHuge); }, {"Pad"}},
      {"ConcatHuge",
       [](Graph& g) {
         const int64_t n = kMaxElements;
         Concat({Input(&g, "a", {n}), Input(&g, "b", {n})}, 0);
       },
       {"Concat", "too large"}},
      {"ScatterHuge",
       [](Graph& g) {
         ScatterAdd(Input(&g, "r", {4, 2}), IndexInput(&g, "i", {4}), kHuge);
       },
       {"ScatterAdd", "too large"}},
      {"RandomRow",
       [](Graph& g) {
         Random(IndexInput(&g, "key", {4}), IndexInput(&g, "ids", {3}), 0, {3, int64_t{1} << 27});
       },
       {"Random", "2^26"}},
      {"TopKRank",
       [](Graph& g) {
         TopK(Input(&g, "x", {1, 1, 1, 1, 1, 1, 1, 3}), 2);
       },
       {"TopK", "rank 1 to 7"}},
      {"TopKScalar", [](Graph& g) { TopK(Input(&g, "x", {}), 1); }, {"TopK", "rank 1 to 7"}},
  };
  return mistakes;
}

class Refuses : public testing::TestWithParam<size_t> {};

TEST_P(Refuses, AndSaysWhy) {
  const Mistake& m = Mistakes()[GetParam()];
  Graph g;
  m.make(g);
  EXPECT_FALSE(g.ok());
  for (const std::string& word : m.words)
    EXPECT_TRUE(Contains(g.error(), word)) << "'" << g.error() << "' lacks '" << word << "'";
}

INSTANTIATE_TEST_SUITE_P(Graph, Refuses, testing::Range<size_t>(0, Mistakes().size()),
                         [](const auto& info) { return Mistakes()[info.param].name; });

TEST(GraphError, FirstOneSticks) {
  Graph g;
  Expr x = Input(&g, "x", {2, 3});
  Expr bad = MatMul(x, x);
  const std::string first = g.error();
  const size_t nodes = g.node_count();
  EXPECT_FALSE(bad.valid());
  EXPECT_EQ(bad.rank(), 0);
  EXPECT_EQ(bad.dim(0), 1);
  // A whole formula can go on; nothing is added and the message stays.
  Expr y = LogSoftmax(Relu(bad) + Sum(x, {7})) * Reshape(x, {100});
  g.Output("y", y.id());
  Gradients(SumAll(y), std::vector<Expr>{x, bad});
  Concat({x, bad}, 0), Gather(bad, bad), BatchNorm(bad, x, x, 1e-5), Transpose(bad, {1, 0});
  EXPECT_EQ(g.error(), first);
  EXPECT_EQ(g.node_count(), nodes);
  EXPECT_TRUE(g.outputs().empty());
}

TEST(GraphError, EmptyExpressionsAreHarmless) {
  Expr e;
  EXPECT_FALSE((e + e).valid());
  EXPECT_FALSE(Relu(e).valid());
  EXPECT_FALSE(Reshape(e, {2}).valid());
  EXPECT_FALSE(MatMul(e, e).valid());
  EXPECT_FALSE(Conv2d(e, e, {}).valid());
  EXPECT_FALSE(MaxPool(e, {}).valid());
  EXPECT_FALSE(BatchNorm(e, e, e, 1e-5).y.valid());
  EXPECT_FALSE(Concat({e, e}, 0).valid());
  EXPECT_FALSE(TopK(e, 1).valid());
  EXPECT_FALSE(ResizeNearest(e, 2, 2).valid());
  EXPECT_FALSE(OneHot(e, 2).valid());
  EXPECT_FALSE(L2Norm(e, {0}).valid());
}

TEST(GraphError, LayersNameTheParameter) {
  VariableSet set([](Variable*, const Init&) { return Status(); });
  Graph g;
  Layers l(&g, &set, {});
  l.Scope("layer1").Conv("conv1", Input(&g, "x", {1, 3, 8, 8}), 16, INT64_MAX);
  EXPECT_TRUE(Contains(g.error(), "layer1.conv1")) << g.error();
  EXPECT_TRUE(set.all().empty());  // nothing took memory

  Graph h;
  Layers m(&h, &set, {});
  m.BatchNorm("bn", Input(&h, "x", {2, 3, 4}));
  EXPECT_TRUE(Contains(h.error(), "bn")) << h.error();

  VariableRef v;
  EXPECT_TRUE(set.GetOrCreate("w", {2, 3}, VariableKind::kParameter, {}, false, &v).ok());
  const Status again = set.GetOrCreate("w", {3, 2}, VariableKind::kParameter, {}, false, &v);
  EXPECT_TRUE(Contains(again.message(), "w has shape [2,3], asked for as [3,2]")) << again.message();
  EXPECT_FALSE(set.GetOrCreate("h", {INT64_MAX, 8}, VariableKind::kParameter, {}, false, &v).ok());
  EXPECT_FALSE(set.GetOrCreate("z", {0}, VariableKind::kParameter, {}, false, &v).ok());
}

// ---- Shapes
// ------------------------------------------------------------------------------------------------------

TEST(Shape, ElementsNeverOverflow) {
  EXPECT_EQ(Shape({}).elements(), 1);
  EXPECT_EQ(Shape({2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape({INT64_MAX, 2}).elements(), INT64_MAX);
  EXPECT_EQ(Shape({int64_t{1} << 32, int64_t{1} << 32}).elements(), INT64_MAX);
}

TEST(Shape, Results) {
  Graph g;
  Expr x = Input(&g, "x", {2, 3, 8, 8}), w = Input(&g, "w", {4, 3, 3, 3});
  ConvAttrs a;
  a.stride[0] = a.stride[1] = 2, a.pad[0] = a.pad[1] = 1;
  EXPECT_EQ(Conv2d(x, w, a).shape(), (Shape{2, 4, 4, 4}));
  EXPECT_EQ(MaxPool(x, PoolWith(3, 2, 1)).shape(), (Shape{2, 3, 4, 4}));
  EXPECT_EQ(Sum(x, {1, -1}).shape(), (Shape{2, 1, 8, 1}));
  EXPECT_EQ(SumAll(x).shape(), Shape());
  EXPECT_EQ(Flatten(x).shape(), (Shape{2, 192}));
  EXPECT_EQ((x + Constant(&g, 1)).shape(), x.shape());
  EXPECT_EQ((Input(&g, "c", {3, 1, 1}) * x).shape(), x.shape());
  EXPECT_EQ(Slice(x, 2, 1, 3, 3).shape(), (Shape{2, 3, 3, 8}));
  EXPECT_EQ(Pad(x, -1, 2, 3).shape(), (Shape{2, 3, 8, 13}));
  EXPECT_EQ(Concat({x, x}, -3).shape(), (Shape{2, 6, 8, 8}));
  EXPECT_EQ(TopK(x, 3).shape(), (Shape{2, 3, 8, 3}));
  EXPECT_TRUE(g.ok()) << g.error();
  // The last window of ceil mode must start inside the input: PyTorch's rule.
  PoolAttrs ceil = PoolWith(2, 2, 1);
  ceil.ceil_mode = 1;
  EXPECT_EQ(MaxPool(x, ceil).shape(), (Shape{2, 3, 5, 5}));
  ceil.stride[0] = ceil.stride[1] = 3;
  EXPECT_EQ(AvgPool(Input(&g, "z", {1, 1, 5, 5}), ceil).shape(), (Shape{1, 1, 2, 2}));
}

TEST(Types, IndicesStayIndicesWhenTheyMove) {
  Graph g;
  Expr i = IndexInput(&g, "i", {2, 3}), j = IndexInput(&g, "j", {2});
  for (Expr e : {Reshape(i, {6}), Transpose(i), Slice(i, 1, 0, 2), Concat({i, i}, 0), BroadcastTo(i, {4, 2, 3}),
                 StopGradient(i), Gather(i, j)}) {
    EXPECT_TRUE(e.index());
    EXPECT_EQ(g.value(e.id()).dtype, DType::kI32);
  }
  for (Expr e : {Equal(i, 1.0), i * 2.0, Sum(i, {0}), OneHot(j, 4), Gather(Input(&g, "t", {4}), j)})
    EXPECT_FALSE(e.index());
  EXPECT_TRUE(g.ok()) << g.error();
}

TEST(Types, LowScopeMarksRealValues) {
  Graph g;
  Expr x = Input(&g, "x", {2, 3}), i = IndexInput(&g, "i", {2});
  g.low_scope = true;
  Expr y = Relu(x), k = Reshape(i, {2, 1});
  g.low_scope = false;
  Expr z = Tanh(y);
  EXPECT_FALSE(g.value(x.id()).low);
  EXPECT_TRUE(g.value(y.id()).low);
  EXPECT_FALSE(g.value(k.id()).low);
  EXPECT_FALSE(g.value(z.id()).low);
}

// ---- Sharing
// -----------------------------------------------------------------------------------------------------

TEST(CommonSubexpressions, EqualNodesAreOne) {
  Graph g;
  Expr x = Input(&g, "x", {2, 3}), y = Input(&g, "y", {2, 3});
  EXPECT_EQ(Input(&g, "x", {2, 3}).id(), x.id());
  EXPECT_EQ((x + y).id(), (x + y).id());
  EXPECT_EQ(Sum(x, {0, 1}).id(), Sum(x, {1, 0, -1}).id());
  EXPECT_EQ(LogSoftmax(x).id(), LogSoftmax(x).id());
  EXPECT_EQ((x * 2.0).id(), (x * 2.0).id());
  VariableRef v = Var("v", {2, 3}), w = Var("v", {2, 3});  // equal names, different variables
  EXPECT_EQ(g.Read(v), g.Read(v));
  EXPECT_NE(g.Read(v), g.Read(w));
  EXPECT_NE((x + y).id(), (y + x).id());
  EXPECT_NE((x * 2.0).id(), (x * 3.0).id());
  EXPECT_NE(Sum(x, {0}).id(), Sum(x, {1}).id());
  EXPECT_NE(g.Constant(0.0, 0), g.Constant(-0.0, 0));
  EXPECT_EQ(g.Constant(NAN, 0), g.Constant(NAN, 0));
  Expr key = IndexInput(&g, "key", {4}), ids = IndexInput(&g, "ids", {2});
  EXPECT_EQ(Random(key, ids, 0, {2, 3}).id(), Random(key, ids, 0, {2, 3}).id());
  EXPECT_NE(Random(key, ids, 0, {2, 3}).id(), Random(key, ids, 1, {2, 3}).id());
  const size_t nodes = g.node_count();
  BatchNorm(x, Input(&g, "g", {3}), Input(&g, "b", {3}), 1e-5);
  EXPECT_EQ(g.node_count(), nodes + 3);
  BatchNorm(x, Input(&g, "g", {3}), Input(&g, "b", {3}), 1e-5);
  EXPECT_EQ(g.node_count(), nodes + 3);
}

TEST(CommonSubexpressions, NeutralElementsVanish) {
  Graph g;
  Expr x = Input(&g, "x", {2, 3});
  for (Expr e : {x + 0.0, 0.0 + x, x - 0.0, x * 1.0, 1.0 * x, x / 1.0}) EXPECT_EQ(e.id(), x.id());
  EXPECT_NE((x * 0.0).id(), x.id());
  // But not where they would change the shape or the type.
  Expr wide = Input(&g, "one", {1}) + BroadcastTo(Constant(&g, 0), {3});
  EXPECT_EQ(wide.shape(), Shape{3});
  EXPECT_FALSE((IndexInput(&g, "i", {2}) + 0.0).index());
  EXPECT_FALSE((1.0 * IndexInput(&g, "i", {2})).index());
  EXPECT_EQ(g.producer((Constant(&g, 2) * 3.0).id()).op, Op::kConstant);
}

// ---- Variables
// ---------------------------------------------------------------------------------------------------

TEST(Variables, LatestIsTheAssignedValue) {
  Graph g;
  VariableRef v = Var("v", {3});
  EXPECT_EQ(g.Latest(v), g.Read(v));
  Expr a = Read(&g, v) * 2.0, b = a + 1.0;
  g.Assign(v, a.id());
  EXPECT_EQ(g.Latest(v), a.id());
  g.Assign(v, b.id());
  EXPECT_EQ(g.Latest(v), b.id());
  EXPECT_NE(g.Read(v), b.id());
  ASSERT_EQ(g.assigns().size(), 1u);
  EXPECT_EQ(g.assigns()[0].second, b.id());
}

// ---- Live nodes and Lower
// ----------------------------------------------------------------------------------------

TEST(LiveNodes, OnlyWhatRootsNeedInOrder) {
  Graph g;
  Expr x = Input(&g, "x", {2});
  Exp(x);  // nobody's
  Expr y = Log(x), z = Tanh(y);
  VariableRef v = Var("v", {2});
  g.Output("z", z.id());
  g.Assign(v, Relu(x).id());
  std::vector<Op> ops;
  for (NodeId n : LiveNodes(g)) ops.push_back(g.node(n).op);
  EXPECT_EQ(ops, (std::vector<Op>{Op::kInput, Op::kLog, Op::kTanh, Op::kRelu}));
}

TEST(Lower, KeepsNamesAssignmentsAndErrors) {
  Graph g;
  Expr x = Input(&g, "x", {4, 3});
  VariableRef v = Var("v", {4, 3});
  Exp(x);  // dead
  Expr y = StopGradient(Reshape(Reshape(Reshape(x, {12}), {3, 4}), {4, 3}) * 2.0);
  g.Output("y", y.id());
  g.Assign(v, y.id());
  const Graph to = Lower(g, [](const Node&) { return true; });
  ASSERT_TRUE(to.ok()) << to.error();
  ASSERT_EQ(to.outputs().size(), 1u);
  EXPECT_EQ(to.outputs()[0].first, "y");
  ASSERT_EQ(to.assigns().size(), 1u);
  EXPECT_EQ(to.assigns()[0].first, v);
  std::vector<Op> ops;
  for (NodeId n = 0; n < to.node_count(); ++n)
    if (to.node(n).op != Op::kConstant) ops.push_back(to.node(n).op);
  // Three reshapes there and back are none.
  EXPECT_EQ(ops.back(), Op::kMul);
  for (NodeId n : LiveNodes(to)) EXPECT_NE(to.node(n).op, Op::kReshape);

  MatMul(x, x);
  EXPECT_EQ(Lower(g, [](const Node&) { return true; }).error(), g.error());
}

TEST(Lower, ExpandsBatchNormUnlessNative) {
  Graph g;
  g.low_scope = true;
  Normalized n = BatchNorm(Input(&g, "x", {4, 3}), Input(&g, "gamma", {3}), Input(&g, "beta", {3}), 1e-5);
  g.Output("y", n.y.id());
  auto count = [](const Graph& h) {
    int found = 0;
    for (NodeId i = 0; i < h.node_count(); ++i) found += h.node(i).op == Op::kBatchNorm;
    return found;
  };
  EXPECT_EQ(count(Lower(g, [](const Node&) { return true; })), 1);
  const Graph expanded = Lower(g, [](const Node&) { return false; });
  EXPECT_EQ(count(expanded), 0);
  EXPECT_TRUE(expanded.value(expanded.outputs()[0].second).low);
}

}  // namespace
}  // namespace distil
