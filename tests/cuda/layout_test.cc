// The graphs that the CUDA backend runs, without a GPU: rewritten as for one and then computed by the reference kernels,
// which take no notice of layouts, they give the same numbers; and operands lie as their kernels need them.
#include "lib/backend/cuda/layout.h"

#include <gtest/gtest.h>

#include "lib/backend/step_cost.h"
#include "tests/graph/random_graph.h"
#include "tests/onednn/step_lab.h"

namespace distil {
namespace {

using cuda::ConvCheck;

Status Anything(const ConvSpec&) { return {}; }
Status NothingFused(const ConvSpec& s) {
  return s.attrs.bias + s.attrs.residual + s.attrs.relu ? Unsupported("fused") : Status();
}
Status OnlyWithBias(const ConvSpec& s) {
  return s.attrs.residual + s.attrs.relu && !s.attrs.bias ? Unsupported("no bias") : Status();
}
Status NoBf16(const ConvSpec& s) { return s.bf16 ? Unsupported("bf16") : Status(); }
Status NeitherFusedNorBf16(const ConvSpec& s) {
  const Status status = NothingFused(s);
  return status.ok() ? NoBf16(s) : status;
}

// Rewrites as the CUDA backend does, and computes in f64 with the reference kernels.
class LayoutBlind : public Backend {
 public:
  explicit LayoutBlind(ConvCheck check = Anything)
      : check_(std::move(check)), reference_(MakeReferenceBackend({}, DType::kF64)) {}
  std::vector<Graph> graphs;  // as they would run on a GPU

  std::string_view name() const override { return "layout blind"; }
  std::string description() const override { return "for tests"; }
  DType real() const override { return DType::kF64; }
  Status Optimize(Graph* g, const CompileOptions& options) override {
    DISTIL_RETURN_IF_ERROR(cuda::OptimizeGraph(check_, options, g));
    graphs.push_back(*g);
    for (ValueId v = 0; v < g->value_count(); ++v) g->mutable_value(v).layout = Layout::kPlain;
    return reference_->Optimize(g, {});
  }
  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) override {
    return reference_->MakeKernel(g, n, out);
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return reference_->MakeCopy(bytes); }
  size_t Bytes(const Graph& g, ValueId v) const override { return reference_->Bytes(g, v); }
  Status Allocate(size_t bytes, Buffer* out) override { return reference_->Allocate(bytes, out); }
  Status Upload(void* device, const void* host, size_t bytes) override {
    return reference_->Upload(device, host, bytes);
  }
  Status Download(void* host, const void* device, size_t bytes) override {
    return reference_->Download(host, device, bytes);
  }
  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>* cache) override {
    return reference_->Execute(launches, cache);
  }

 private:
  ConvCheck check_;
  std::unique_ptr<Backend> reference_;
};

bool Spatial(const Shape& s) { return s.rank() >= 4 && s[s.rank() - 2] * s[s.rank() - 1] > 1; }

// What the kernels rely on.
void ExpectOperandsFit(const Graph& g, const CompileOptions& options) {
  auto at = [&](ValueId v) -> const Value& { return g.value(v); };
  auto plain = [&](ValueId v) { return at(v).layout == Layout::kPlain; };
  auto f32 = [&](ValueId v) { return at(v).index || at(v).dtype == DType::kF32; };
  for (NodeId id : LiveNodes(g)) {
    const Node& n = g.node(id);
    SCOPED_TRACE(Describe(g, n));
    std::vector<ValueId> all = n.in;
    all.insert(all.end(), n.out.begin(), n.out.end());
    for (ValueId v : all) {
      EXPECT_TRUE(plain(v) || (at(v).layout == Layout::kNhwc && Spatial(at(v).shape)));
      EXPECT_TRUE(at(v).index ? at(v).dtype == DType::kI32 : f32(v) || at(v).dtype == DType::kBF16);
      if (!options.bf16) {
        EXPECT_TRUE(f32(v));
      }
      if (!options.bf16 && !options.tf32) {
        EXPECT_TRUE(plain(v));
      }
    }
    const Value& y = at(n.out[0]);
    switch (n.op) {
      case Op::kConv2d:
      case Op::kConv2dInput:
      case Op::kConv2dWeight: {
        const ConvSpec s = SpecOf(g, n);
        EXPECT_EQ((s.attrs.algorithm & cuda::kTf32) != 0, options.tf32);
        const Layout images = cuda::UsesTensorCores(s) ? Layout::kNhwc : Layout::kPlain;
        for (ValueId v : all) {
          EXPECT_EQ(at(v).dtype, at(n.in[0]).dtype);
          if (Spatial(at(v).shape)) {
            EXPECT_EQ(at(v).layout, images);
          }
        }
        break;
      }
      case Op::kMatMul:
        EXPECT_TRUE(plain(n.in[0]) && plain(n.in[1]) && plain(n.out[0]) && f32(n.out[0]));
        EXPECT_EQ(at(n.in[0]).dtype, at(n.in[1]).dtype);
        ASSERT_EQ(n.ints.size(), 3u);
        EXPECT_EQ(n.ints[2] == cuda::kTf32, options.tf32);
        break;
      case Op::kFused:
        for (size_t o = 0; o < n.out.size(); ++o)
          if (n.fused->outs[o].reduce != FusedBody::kStore) {
            EXPECT_TRUE(plain(n.out[o]) && f32(n.out[o]));
          }
        break;
      case Op::kReorder: EXPECT_TRUE(y.layout != at(n.in[0]).layout || y.dtype != at(n.in[0]).dtype); break;
      case Op::kMaxPool:
      case Op::kMaxPoolScatter:
      case Op::kAvgPool:
      case Op::kAvgPoolGrad:
      case Op::kSlice:
      case Op::kPad:
      case Op::kConcat:
        for (ValueId v : all) {
          EXPECT_EQ(at(v).dtype, y.dtype);
          if (Spatial(at(v).shape) && Spatial(y.shape)) {
            EXPECT_EQ(at(v).layout, y.layout);
          }
        }
        break;
      case Op::kReshape:
      case Op::kTranspose:
        EXPECT_EQ(at(n.in[0]).dtype, y.dtype);
        EXPECT_EQ(at(n.in[0]).layout, y.layout);
        if (!plain(n.out[0])) {  // whole channels move, or get another number of axes
          const Shape &from = at(n.in[0]).shape, &to = y.shape;
          for (int d : {0, -2, -1}) EXPECT_EQ(from[d < 0 ? from.rank() + d : d], to[d < 0 ? to.rank() + d : d]);
        }
        break;
      default:
        for (ValueId v : all) EXPECT_TRUE(plain(v) && f32(v));
    }
  }
  for (auto& [name, v] : g.outputs()) EXPECT_TRUE(plain(v) && f32(v)) << name;
  for (auto& [var, v] : g.assigns()) EXPECT_TRUE(plain(v) && f32(v)) << var->name;
}

const CompileOptions kModes[] = {{}, {.tf32 = true}, {.bf16 = true}, {.bf16 = true, .winograd = true, .tf32 = true}};

TEST(CudaLayout, RandomGraphsComputeTheSame) {
  for (uint64_t seed : TestSeeds(40)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomGraph plain(seed, ReferenceF64(), 24);
    const Fetches want = RunOnce(ReferenceF64(), plain.graph, plain.feeds);
    for (const ConvCheck& check :
         {ConvCheck(Anything), ConvCheck(OnlyWithBias), ConvCheck(NothingFused), ConvCheck(NeitherFusedNorBf16)}) {
      for (const CompileOptions& mode : kModes) {
        LayoutBlind backend(check);
        RandomGraph r(seed, &backend, 24);
        for (ValueId v = 0; v < r.graph.value_count(); ++v)  // as if it were a network's body
          r.graph.mutable_value(v).low = !r.graph.value(v).index;
        ExpectClose(RunOnce(&backend, r.graph, r.feeds, mode), want, 1e-11);
        ASSERT_FALSE(backend.graphs.empty());
        ExpectOperandsFit(backend.graphs.back(), mode);
        if (HasFailure()) return;
      }
    }
  }
}

// ---- Frozen convolutions

struct FrozenConv {
  Graph g;
  Feeds feeds;
  FrozenConv() {
    g.low_scope = true;
    Rng rng(3);
    auto numbers = [&](const Shape& s) {
      std::vector<double> v;
      for (int64_t i = s.elements(); i > 0; --i) v.push_back(rng.Uniform(-1, 1));
      return v;
    };
    feeds["x"] = {numbers({2, 8, 6, 6})};
    feeds["r"] = {numbers({2, 16, 6, 6})};
    ConvAttrs a;
    a.pad[0] = a.pad[1] = 1;
    Expr y = Conv2d(Input(&g, "x", {2, 8, 6, 6}), Data(&g, {16, 8, 3, 3}, numbers({16, 8, 3, 3})), a);
    y = Relu(y * Data(&g, {1, 16, 1, 1}, numbers({1, 16, 1, 1})) + Data(&g, {1, 16, 1, 1}, numbers({1, 16, 1, 1})) +
             Input(&g, "r", {2, 16, 6, 6}));
    g.Output("y", y.id());
  }
};

// The ops that a step runs: constants, and what depends on them only, are computed once.
std::vector<Op> StepOps(const Graph& g) {
  std::vector<Op> ops;
  const std::vector<bool> fixed = FixedValues(g);
  for (NodeId id : LiveNodes(g)) {
    const Node& n = g.node(id);
    if (n.op != Op::kInput && n.op != Op::kVariable && n.op != Op::kReshape && !fixed[n.out[0]]) ops.push_back(n.op);
  }
  return ops;
}

TEST(CudaLayout, AFrozenConvolutionTakesNormSumAndReluAlong) {
  FrozenConv c;
  const Fetches want = RunOnce(ReferenceF64(), c.g, c.feeds);
  LayoutBlind whole;
  ExpectClose(RunOnce(&whole, c.g, c.feeds), want, 1e-12);
  EXPECT_EQ(StepOps(whole.graphs[0]), (std::vector<Op>{Op::kConv2d}));
  // Channels-last in bf16: image and residual on the way in, the result on the way out; nothing for the weight.
  LayoutBlind low;
  ExpectClose(RunOnce(&low, c.g, c.feeds, {.bf16 = true}), want, 1e-12);
  EXPECT_EQ(StepOps(low.graphs[0]), (std::vector<Op>{Op::kReorder, Op::kReorder, Op::kConv2d, Op::kReorder}));
}

TEST(CudaLayout, ASumWithoutBiasGetsOneOfZeros) {
  for (bool low : {false, true}) {
    Graph g;
    g.low_scope = true;
    const std::vector<double> ones(16, 1.0);
    Expr y = Conv2d(Input(&g, "x", {1, 4, 3, 3}), Data(&g, {4, 4, 1, 1}, ones), {});
    g.Output("y", Relu(y + Input(&g, "r", {1, 4, 3, 3})).id());
    Feeds feeds;
    for (const char* name : {"x", "r"})
      for (int i = 0; i < 36; ++i) feeds[name].values.push_back(i % 7 - 3.0);
    LayoutBlind backend(OnlyWithBias);
    const CompileOptions mode{.bf16 = low};
    ExpectClose(RunOnce(&backend, g, feeds, mode), RunOnce(ReferenceF64(), g, feeds), 1e-12);
    ExpectOperandsFit(backend.graphs[0], mode);
    const std::vector<Op> ops = StepOps(backend.graphs[0]);
    EXPECT_EQ(std::count(ops.begin(), ops.end(), Op::kConv2d), 1);
    EXPECT_EQ(std::count(ops.begin(), ops.end(), Op::kFused), 0);
  }
}

TEST(CudaLayout, WhatNoEngineFusesIsAKernelOfItsOwn) {
  FrozenConv c;
  const Fetches want = RunOnce(ReferenceF64(), c.g, c.feeds);
  LayoutBlind backend(NothingFused);
  ExpectClose(RunOnce(&backend, c.g, c.feeds), want, 1e-12);
  EXPECT_EQ(StepOps(backend.graphs[0]), (std::vector<Op>{Op::kConv2d, Op::kFused}));
}

TEST(CudaLayout, WhatNoEngineRunsInBf16RunsInF32) {
  FrozenConv c;
  const Fetches want = RunOnce(ReferenceF64(), c.g, c.feeds);
  LayoutBlind backend(NoBf16);
  ExpectClose(RunOnce(&backend, c.g, c.feeds, {.bf16 = true}), want, 1e-12);
  ExpectOperandsFit(backend.graphs[0], {.bf16 = true});
  for (NodeId id : LiveNodes(backend.graphs[0]))
    if (const Node& n = backend.graphs[0].node(id); n.op == Op::kConv2d) {
      EXPECT_FALSE(SpecOf(backend.graphs[0], n).bf16);
    }
}

TEST(CudaLayout, WhatNoEngineRunsIsAnErrorThatNamesIt) {
  FrozenConv c;
  Graph g = c.g;
  const Status s =
      cuda::OptimizeGraph([](const ConvSpec& spec) { return Unsupported(Describe(spec) + ": no"); }, {}, &g);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_EQ(s.message(), "conv2d, x [2,8,6,6], w [16,8,3,3], stride 1 1, pad 1 1, f32: no");
}

// ---- Products

TEST(CudaLayout, OnlyLargeProductsOfNetworksAreBf16) {
  for (auto [rows, low, bf16] : {std::tuple(64, true, false), {8192, true, true}, {8192, false, false}}) {
    Graph g;
    g.low_scope = low;
    g.Output("y", MatMul(Input(&g, "a", {rows, 128}), Input(&g, "b", {128, 64})).id());
    ASSERT_TRUE(cuda::OptimizeGraph(Anything, {.bf16 = true}, &g).ok());
    ExpectOperandsFit(g, {.bf16 = true});
    for (NodeId id : LiveNodes(g))
      if (g.node(id).op == Op::kMatMul) {
        EXPECT_EQ(g.value(g.node(id).in[0]).dtype, bf16 ? DType::kBF16 : DType::kF32) << rows << low;
      }
  }
}

// ---- Training steps

std::shared_ptr<Device> Blind(LayoutBlind** backend) {
  auto d = std::make_shared<Device>();
  auto b = std::make_unique<LayoutBlind>();
  *backend = b.get();
  d->backend = std::move(b);
  return d;
}

bool IsImages(const Shape& s, int64_t batch) { return s[0] == batch && Spatial(s); }

class CudaSteps : public testing::TestWithParam<Setting> {};

TEST_P(CudaSteps, AgreeWithReferenceAndMoveImagesNowhere) {
  Lab want(Reference(), GetParam());
  want.Step();
  for (const char* mode : {"", "tf32=1", "bf16=1"}) {
    SCOPED_TRACE(mode);
    CompileOptions options;
    options.bf16 = std::string(mode) == "bf16=1";
    options.tf32 = std::string(mode) == "tf32=1";
    LayoutBlind* backend;
    Setting setting = GetParam();
    setting.options = mode;
    Lab lab(Blind(&backend), setting);
    lab.Step();
    if (HasFailure()) return;
    for (size_t i = 0; i < lab.student().all().size(); ++i)
      ExpectClose(lab.Values(lab.student().all()[i]), want.Values(want.student().all()[i]), 1e-9,
                  lab.student().all()[i]->name);
    const Graph& g = backend->graphs.back();
    ExpectOperandsFit(g, options);
    const std::vector<bool> fixed = FixedValues(g);
    int images = 0, trained = 0;
    std::set<const Variable*> weights;
    for (NodeId id : LiveNodes(g)) {
      const Node& n = g.node(id);
      if (n.op == Op::kVariable && Spatial(n.variable->shape) && !fixed[n.out[0]]) weights.insert(n.variable.get());
      if (n.op != Op::kReorder || fixed[n.out[0]]) continue;
      (IsImages(g.value(n.out[0]).shape, setting.batch) ? images : trained) += 1;
    }
    EXPECT_EQ(images, *mode ? 1 : 0);  // the input's
    if (!*mode) {
      EXPECT_EQ(trained, 0);
    }
    const StepCost cost = CostOf(g);
    EXPECT_EQ(cost.reorders.launches, images + trained);
    std::printf("%s -> %s, %s:\n%s", setting.teacher.c_str(), setting.student.c_str(), *mode ? mode : "f32",
                ToText(cost).c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(Pairs, CudaSteps,
                         testing::Values(Setting{"ce", "", "resnet8", 2, 16, ""},
                                         Setting{"kd", "resnet8x4", "resnet8", 2, 16, ""},
                                         Setting{"kd", "vgg8", "vgg8", 2, 32, ""},
                                         Setting{"kd", "resnet8", "shufflenet_v1", 2, 16, ""},
                                         Setting{"ce", "", "shufflenet_v2", 2, 16, ""},
                                         Setting{"kd", "resnet8", "mobilenet_v2_x0_5", 2, 32, ""},
                                         Setting{"kd+at", "wrn_16_2", "wrn_16_1", 2, 16, ""}),
                         [](const auto& info) { return info.param.teacher + "_" + info.param.student; });

// ---- The count

TEST(StepCost, CountsByHand) {
  Graph g;
  ConvAttrs a;
  a.pad[0] = a.pad[1] = 1;
  Expr x = Input(&g, "x", {2, 3, 4, 4});
  const VariableRef w = std::make_shared<Variable>();
  w->name = "w", w->shape = {5, 3, 3, 3};
  Expr y = Conv2d(x, Read(&g, w), a);                                         // reads 96 + 135 numbers, writes 160
  g.Output("z", MatMul(Reshape(y, {10, 16}), Input(&g, "m", {16, 4})).id());  // 160 + 64, 40
  const StepCost cost = CostOf(g);
  EXPECT_EQ(cost.convolutions.launches, 1);
  EXPECT_EQ(cost.convolutions.bytes, 4 * (96 + 135 + 160));
  EXPECT_EQ(cost.convolutions.multiply_adds, 160 * 27);
  EXPECT_EQ(cost.products.bytes, 4 * (160 + 64 + 40));
  EXPECT_EQ(cost.products.multiply_adds, 40 * 16);
  EXPECT_EQ(cost.total().launches, 2);
  EXPECT_EQ(cost.total().small, 2);
  EXPECT_EQ(cost.total().bytes, cost.convolutions.bytes + cost.products.bytes);
}

}  // namespace
}  // namespace distil
