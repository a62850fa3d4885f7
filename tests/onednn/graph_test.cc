// Whole graphs on the oneDNN backend against the reference in f64: random ones, and what is special about convolutions.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lib/backend/convolution.h"
#include "lib/backend/onednn/layout.h"
#include "lib/expr/layers.h"
#include "tests/graph/random_graph.h"

namespace distil {
namespace {

std::unique_ptr<Backend> OneDnn(int threads = 2) {
  HostOptions options;
  options.threads = threads;
  return MakeOneDnnBackend(options);
}

TEST(OneDnnGraph, RandomGraphs) {
  for (uint64_t seed : TestSeeds(120)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    const auto backend = OneDnn(1 + static_cast<int>(seed % 3));
    RandomGraph plain(seed, ReferenceF64(), 30), tested(seed, backend.get(), 30), again(seed, backend.get(), 30);
    // Twice: the second run sees the assigned variables.
    Compiled want(ReferenceF64(), plain.graph), got(backend.get(), tested.graph), same(backend.get(), again.graph);
    for (int run = 0; run < 2; ++run) {
      const Fetches values = got.Run(tested.feeds);
      ExpectClose(values, want.Run(plain.feeds), 1e-4);
      ExpectSameBits(values, same.Run(again.feeds));
    }
    for (size_t i = 0; i < plain.variables.size(); ++i)
      ExpectClose(ValuesOf(backend.get(), tested.variables[i]), ValuesOf(ReferenceF64(), plain.variables[i]), 1e-4,
                  plain.variables[i]->name);
    if (HasFailure()) return;
  }
}

bool HasBf16() { return onednn::Library().wide(); }

TEST(OneDnnGraph, Bf16IsRefusedWhereItCannotBe) {
  Graph g;
  g.Output("y", (Input(&g, "x", {4}) + 1.0).id());
  std::unique_ptr<Program> program;
  const auto backend = OneDnn();
  const Status s = Program::Compile(backend.get(), g, {.bf16 = true}, &program);
  if (HasBf16()) {
    EXPECT_TRUE(s.ok()) << s.message();
  } else {
    EXPECT_EQ(s.code(), Code::kUnsupported);
    EXPECT_NE(s.message().find("AVX-512"), std::string::npos) << s.message();
  }
}

// ---- Convolutions

// Where oneDNN's own arithmetic overflows, it divides by zero: that was a signal, not a message.
TEST(OneDnnGraph, PlanesThatTheLibraryCannotCountAreRefused) {
  Graph g;
  ConvAttrs same;
  same.pad[0] = same.pad[1] = 1;
  g.Output("y", MeanAll(Conv2d(Input(&g, "x", {1, 3, 32768, 32768}), Input(&g, "w", {16, 3, 3, 3}), same)).id());
  std::unique_ptr<Program> program;
  const auto backend = OneDnn();
  const Status s = Program::Compile(backend.get(), g, {}, &program);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_NE(s.message().find("planes of fewer than 2^29 pixels"), std::string::npos) << s.message();
}

struct ConvCase {
  const char* name;
  Shape x;
  int64_t channels, kernel;
  ConvAttrs a;
};

std::vector<ConvCase> ConvCases() {
  auto attrs = [](int64_t stride, int64_t pad, int64_t dilation, int64_t groups) {
    ConvAttrs a;
    for (int i = 0; i < 2; ++i) a.stride[i] = stride, a.pad[i] = pad, a.dilation[i] = dilation;
    a.groups = groups;
    return a;
  };
  return {
      {"blocked", {2, 32, 9, 9}, 48, 3, attrs(1, 1, 1, 1)},
      {"one_image", {1, 16, 8, 8}, 16, 3, attrs(1, 1, 1, 1)},
      {"first_layer", {3, 3, 12, 12}, 16, 3, attrs(1, 1, 1, 1)},
      {"grey", {3, 1, 12, 12}, 32, 5, attrs(1, 2, 1, 1)},
      {"strided", {3, 32, 9, 8}, 64, 3, attrs(2, 1, 1, 1)},
      {"shortcut", {3, 16, 8, 8}, 32, 1, attrs(2, 0, 1, 1)},
      {"dilated", {2, 16, 11, 11}, 32, 3, attrs(1, 2, 2, 1)},
      {"odd_channels", {2, 20, 7, 7}, 24, 3, attrs(1, 1, 1, 1)},
      {"to_odd_channels", {2, 32, 7, 7}, 10, 3, attrs(1, 1, 1, 1)},
      {"from_odd_channels", {2, 10, 7, 7}, 32, 3, attrs(1, 1, 1, 1)},
      {"grouped", {2, 32, 8, 8}, 64, 3, attrs(1, 1, 1, 2)},
      {"narrow_groups", {2, 24, 8, 8}, 24, 1, attrs(1, 0, 1, 3)},
      {"wide_groups", {2, 64, 6, 6}, 64, 1, attrs(1, 0, 1, 4)},
      {"depthwise", {2, 32, 9, 9}, 32, 3, attrs(1, 1, 1, 32)},
      {"depthwise_strided", {2, 48, 9, 9}, 48, 3, attrs(2, 1, 1, 48)},
      {"depthwise_odd", {2, 20, 9, 9}, 20, 5, attrs(1, 2, 1, 20)},
      {"one_place", {4, 32, 1, 1}, 64, 1, attrs(1, 0, 1, 1)},
      {"to_one_place", {4, 32, 4, 4}, 64, 4, attrs(1, 0, 1, 1)},
      {"many_channels", {2, 256, 4, 4}, 128, 3, attrs(1, 1, 1, 1)},
  };
}

class Convolutions : public testing::TestWithParam<size_t> {
 protected:
  const ConvCase& c() const { return cases_[GetParam()]; }
  static const std::vector<ConvCase> cases_;

  // Forward and both gradients (a transposed convolution is one of them), between pointwise ops that leave operands in
  // the layout of its neighbours.
  struct Built {
    Graph g;
    Feeds feeds;
  };
  Built Build(bool low) {
    Built b;
    b.g.low_scope = low;
    Rng rng(9);
    auto input = [&](const std::string& name, const Shape& s, double scale) {
      Feed f;
      for (int64_t i = s.elements(); i > 0; --i)  // exact in bf16
        f.values.push_back(scale * static_cast<double>(rng.Int(-16, 16)) / 16);
      b.feeds[name] = f;
      return Input(&b.g, name, s);
    };
    const Shape ws{c().channels, c().x[1] / c().a.groups, c().kernel, c().kernel};
    Expr x = input("x", c().x, 1), w = input("w", ws, 1);
    Expr y = Conv2d(Relu(x), w, c().a);
    Expr dy = input("dy", y.shape(), 1);
    const std::vector<Expr> wrt = {x, w};
    const std::vector<Expr> d = Gradients(SumAll(y * dy), wrt);
    b.g.Output("y", (y * 0.5).id());
    b.g.Output("dx", (d[0] * 0.5).id());
    b.g.Output("dw", d[1].id());
    return b;
  }
};
const std::vector<ConvCase> Convolutions::cases_ = ConvCases();

TEST_P(Convolutions, ForwardAndGradients) {
  for (int threads : {1, 2}) {
    const auto backend = OneDnn(threads);
    const Built b = Build(false);
    const Fetches want = RunOnce(ReferenceF64(), b.g, b.feeds);
    ExpectClose(RunOnce(backend.get(), b.g, b.feeds), want, 2e-6);
    // Sums of many squares of fifteenths: Winograd's transforms lose some of the digits.
    ExpectClose(RunOnce(backend.get(), b.g, b.feeds, {.winograd = true}), want, 2e-5);
    if (!HasBf16()) continue;
    const Built low = Build(true);
    ExpectClose(RunOnce(backend.get(), low.g, low.feeds, {.bf16 = true}), want, 1.0 / 128);
  }
}

// In the layouts that were chosen, oneDNN has code for every one of them.
TEST_P(Convolutions, RunInFastCode) {
  const onednn::Library library;
  const auto backend = OneDnn();
  for (CompileOptions options : {CompileOptions{}, {.winograd = true}, {.bf16 = true}}) {
    if (options.bf16 && !HasBf16()) continue;
    const Built b = Build(options.bf16);
    Compiled compiled(backend.get(), b.g, options);
    if (!compiled.ok()) return;
    const Graph& g = compiled.program()->graph();
    for (NodeId id : LiveNodes(g)) {
      const Node& n = g.node(id);
      if (n.op != Op::kConv2d && n.op != Op::kConv2dInput && n.op != Op::kConv2dWeight) continue;
      OpaqueLayout weight;
      bool slow = false;
      const Status s = library.WeightLayout(SpecOf(g, n), &weight, &slow);
      EXPECT_TRUE(s.ok()) << s.message();
      EXPECT_FALSE(slow) << Describe(g, n) << (options.bf16 ? " bf16" : "");
    }
  }
}

TEST_P(Convolutions, Folded) {
  Rng rng(10);
  for (bool low : {false, true}) {
    if (low && !HasBf16()) continue;
    Graph g;
    g.low_scope = low;
    Feeds feeds;
    auto numbers = [&](const Shape& s, double scale, double offset) {
      std::vector<double> v;
      for (int64_t i = s.elements(); i > 0; --i)
        v.push_back(offset + scale * static_cast<double>(rng.Int(-16, 16)) / 16);
      return v;
    };
    auto fixed = [&](const Shape& s, double scale, double offset) { return Data(&g, s, numbers(s, scale, offset)); };
    feeds["x"] = {numbers(c().x, 1, 0)};
    const int64_t o = c().channels;
    const Shape row{1, o, 1, 1};
    Expr y = Conv2d(Input(&g, "x", c().x), fixed({o, c().x[1] / c().a.groups, c().kernel, c().kernel}, 1, 0), c().a);
    feeds["r"] = {numbers(y.shape(), 4, 0)};
    Expr r = Input(&g, "r", y.shape());
    y = Relu((y + fixed(row, 1, 0)) * fixed(row, 0.25, 0.5) + fixed(row, 1, 0.5) + r);
    g.Output("y", y.id());
    g.Output("r again", (r * 2.0).id());  // the residual outlives the convolution
    const auto backend = OneDnn();
    const Fetches want = RunOnce(ReferenceF64(), g, feeds);
    Compiled got(backend.get(), g, {.bf16 = low});
    ExpectClose(got.Run(feeds), want, low ? 1.0 / 64 : 2e-6);
    ExpectClose(got.Run(feeds), want, low ? 1.0 / 64 : 2e-6);
    int convolutions = 0;
    for (const std::string& line : got.program()->Listing()) convolutions += line.rfind("Conv2d(", 0) == 0;
    EXPECT_EQ(convolutions, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Convolutions, testing::Range<size_t>(0, ConvCases().size()),
                         [](const auto& info) { return std::string(ConvCases()[info.param].name); });

// ---- NaN

// What watches training for numbers that are not finite must see them, whatever was fused on the way. (In a frozen
// network oneDNN's ReLU gives 0 for NaN.)
TEST(OneDnnGraph, NanPassesThroughConvolutionAndRelu) {
  Graph g;
  const auto backend = OneDnn();
  Expr x = Input(&g, "x", {1, 16, 4, 4});
  const VariableRef w = MakeVariable(backend.get(), "w", {16, 16, 1, 1}, std::vector<double>(256, 0.5));
  Expr y = Relu(Conv2d(x, Read(&g, w), {}) + Data(&g, {1, 16, 1, 1}, std::vector<double>(16, 1.0)));
  g.Assign(w, (Read(&g, w) * 1.0).id());
  g.Output("y", y.id());
  std::vector<double> values(256, 1.0);
  values[5] = std::numeric_limits<double>::quiet_NaN();
  const Fetches got = RunOnce(backend.get(), g, {{"x", {values}}});
  EXPECT_TRUE(std::isnan(got.at("y")[5]));
  EXPECT_EQ(got.at("y")[6], 9.0);
}

}  // namespace
}  // namespace distil
