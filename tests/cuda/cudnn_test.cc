// Convolutions as cuDNN plans, against a cuDNN that only looks at descriptors (fake_cudnn.h): what is described, which
// engine is chosen, what errors say. The real library: cudnn_engines_test.cc.
#include "lib/backend/cuda/cudnn_conv.h"
#include "tests/cuda/fake_cudnn.h"

namespace distil::cuda {
namespace {

// A target without a handle: a described device.
struct Fixture {
  FakeCudnn fake;
  Descriptor device;
  CudnnTarget target;
  Fixture() {
    fake.engines[CUDNN_HEUR_MODE_A] = {{.index = 7, .workspace = 64, .knobs = {{2, 4}, {13, 0}}}};
    Building b(fake.api(), CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device");
    EXPECT_TRUE(b.Finish(&device).ok());
    target.device = &device;
  }
  ConvPlan Plan(const ConvSpec& s) {
    ConvPlan plan;
    const Status status = MakeConvPlan(fake.api(), target, s, &plan);
    EXPECT_TRUE(status.ok()) << status.message();
    return plan;
  }
  const FakeCudnn::Object& Operation(size_t i) { return fake.graphs.back().Child(CUDNN_ATTR_OPERATIONGRAPH_OPS, i); }
  size_t Operations() { return fake.graphs.back().Get<FakeCudnn::Object*>(CUDNN_ATTR_OPERATIONGRAPH_OPS).size(); }
};

using Ints = std::vector<int64_t>;

struct TensorIs {
  int64_t id;
  Ints dims, strides;
  cudnnDataType_t type;
  bool is_virtual = false;
};
void ExpectTensor(const FakeCudnn::Object& t, const TensorIs& want) {
  EXPECT_EQ(t.Ints(CUDNN_ATTR_TENSOR_UNIQUE_ID), Ints{want.id});
  EXPECT_EQ(t.Ints(CUDNN_ATTR_TENSOR_DIMENSIONS), want.dims);
  EXPECT_EQ(t.Ints(CUDNN_ATTR_TENSOR_STRIDES), want.strides);
  EXPECT_EQ(t.Get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE).at(0), want.type);
  EXPECT_EQ(t.Get<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL).at(0) != 0, want.is_virtual);
}

ConvSpec Spec(ConvKind kind, bool bf16 = false) {
  ConvSpec s{kind, {2, 8, 6, 5}, {16, 4, 3, 3}, {2, 16, 3, 5}, {}, Layout::kPlain, Layout::kPlain, bf16};
  s.attrs.stride[0] = 2, s.attrs.pad[0] = 1, s.attrs.pad[1] = 2, s.attrs.dilation[1] = 2, s.attrs.groups = 2;
  if (bf16) s.x_layout = s.y_layout = s.w_layout = Layout::kNhwc;
  return s;
}

// ---- What is described

TEST(CudnnConv, ForwardRowMajor) {
  Fixture f;
  const ConvPlan plan = f.Plan(Spec(ConvKind::kForward));
  EXPECT_EQ(plan.inputs, 2);
  ASSERT_EQ(f.Operations(), 1u);
  const auto& op = f.Operation(0);
  EXPECT_EQ(op.type, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  ExpectTensor(op.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X),
               {1, {2, 8, 6, 5}, {240, 30, 5, 1}, CUDNN_DATA_FLOAT});
  ExpectTensor(op.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W),
               {2, {16, 4, 3, 3}, {36, 9, 3, 1}, CUDNN_DATA_FLOAT});
  ExpectTensor(op.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y),
               {kOutputId, {2, 16, 3, 5}, {240, 15, 5, 1}, CUDNN_DATA_FLOAT});
  EXPECT_EQ(op.Get<double>(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA).at(0), 1.0);
  EXPECT_EQ(op.Get<double>(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA).at(0), 0.0);
  const auto& conv = op.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
  EXPECT_EQ(conv.Ints(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES), (Ints{2, 1}));
  EXPECT_EQ(conv.Ints(CUDNN_ATTR_CONVOLUTION_DILATIONS), (Ints{1, 2}));
  EXPECT_EQ(conv.Ints(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS), (Ints{1, 2}));
  EXPECT_EQ(conv.Ints(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS), (Ints{1, 2}));
  EXPECT_EQ(conv.Get<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE).at(0), CUDNN_CROSS_CORRELATION);
  EXPECT_EQ(conv.Get<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE).at(0), CUDNN_DATA_FLOAT);
}

TEST(CudnnConv, GradientsChannelsLastInBf16) {
  Fixture f;
  f.fake.engines[CUDNN_HEUR_MODE_A][0].numerical = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE};
  const TensorIs x{0, {2, 8, 6, 5}, {240, 1, 40, 8}, CUDNN_DATA_BFLOAT16};
  const TensorIs w{0, {16, 4, 3, 3}, {36, 1, 12, 4}, CUDNN_DATA_BFLOAT16};
  const TensorIs y{0, {2, 16, 3, 5}, {240, 1, 80, 16}, CUDNN_DATA_BFLOAT16};
  auto with = [](TensorIs t, int64_t id) {
    t.id = id;
    return t;
  };
  f.Plan(Spec(ConvKind::kInput, true));
  const auto& data = f.Operation(0);
  ExpectTensor(data.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY), with(y, 1));
  ExpectTensor(data.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W), with(w, 2));
  ExpectTensor(data.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX), with(x, kOutputId));
  f.Plan(Spec(ConvKind::kWeight, true));
  const auto& filter = f.Operation(0);
  ExpectTensor(filter.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X), with(x, 1));
  ExpectTensor(filter.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY), with(y, 2));
  ExpectTensor(filter.Child(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW), with(w, kOutputId));
}

// y = relu(conv + residual + bias): virtual f32 between, and only the last result in memory.
TEST(CudnnConv, WhatIsFusedBehind) {
  for (int mask = 1; mask < 8; ++mask) {
    SCOPED_TRACE(mask);
    Fixture f;
    ConvSpec s = Spec(ConvKind::kForward);
    s.attrs.residual = mask & 1, s.attrs.bias = mask >> 1 & 1, s.attrs.relu = mask >> 2 & 1;
    const ConvPlan plan = f.Plan(s);
    EXPECT_EQ(plan.inputs, 2 + s.attrs.residual + s.attrs.bias);
    std::vector<cudnnPointwiseMode_t> want, got;
    if (s.attrs.residual) want.push_back(CUDNN_POINTWISE_ADD);
    if (s.attrs.bias) want.push_back(CUDNN_POINTWISE_ADD);
    if (s.attrs.relu) want.push_back(CUDNN_POINTWISE_RELU_FWD);
    ASSERT_EQ(f.Operations(), 1 + want.size());
    int64_t result =
        f.Operation(0).Child(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y).Ints(CUDNN_ATTR_TENSOR_UNIQUE_ID).at(0);
    std::vector<int64_t> operands;
    for (size_t i = 1; i < f.Operations(); ++i) {
      const auto& op = f.Operation(i);
      const auto& how = op.Child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
      got.push_back(how.Get<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE).at(0));
      const auto& x = op.Child(CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
      EXPECT_EQ(x.Ints(CUDNN_ATTR_TENSOR_UNIQUE_ID), Ints{result});
      EXPECT_TRUE(x.Get<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL).at(0));
      EXPECT_EQ(x.Get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE).at(0), CUDNN_DATA_FLOAT);
      const auto& y = op.Child(CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
      result = y.Ints(CUDNN_ATTR_TENSOR_UNIQUE_ID).at(0);
      EXPECT_EQ(y.Get<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL).at(0) != 0, i + 1 < f.Operations());
      if (got.back() == CUDNN_POINTWISE_ADD)
        operands.push_back(op.Child(CUDNN_ATTR_OPERATION_POINTWISE_BDESC).Ints(CUDNN_ATTR_TENSOR_UNIQUE_ID).at(0));
    }
    EXPECT_EQ(got, want);
    EXPECT_EQ(result, kOutputId);
    // Inputs of the node: x, w, bias, residual.
    Ints ids;
    if (s.attrs.residual) ids.push_back(3 + s.attrs.bias);
    if (s.attrs.bias) ids.push_back(3);
    EXPECT_EQ(operands, ids);
  }
}

TEST(CudnnConv, ABiasIsATensorOfRank4) {
  Fixture f;
  ConvSpec s = Spec(ConvKind::kForward);
  s.attrs.bias = 1;
  f.Plan(s);
  ExpectTensor(f.Operation(1).Child(CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
               {3, {1, 16, 1, 1}, {16, 1, 1, 1}, CUDNN_DATA_FLOAT});
}

TEST(CudnnConv, RunsWithTheAddressesOfItsOperands) {
  Fixture f;
  ConvSpec s = Spec(ConvKind::kForward);
  s.attrs.bias = 1;
  const ConvPlan plan = f.Plan(s);
  EXPECT_EQ(plan.plan.workspace, 64u);
  float a, b, c, y, w;
  const void* in[] = {&a, &b, &c};
  void* out[] = {&y};
  ASSERT_TRUE(Execute(f.fake.api(), nullptr, plan, {in, out, &w}).ok());
  const auto& pack = f.fake.executed.at(0);
  EXPECT_EQ(pack.Ints(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS), (Ints{1, 2, 3, kOutputId}));
  EXPECT_EQ(pack.Get<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS), (std::vector<void*>{&a, &b, &c, &y}));
  EXPECT_EQ(pack.Get<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE), std::vector<void*>{&w});
}

TEST(CudnnConv, DescriptorsAreGivenBack) {
  Fixture f;
  const int64_t before = f.fake.alive();
  {
    ConvPlans plans(f.fake.api(), f.target);
    ConvSpec s = Spec(ConvKind::kForward);
    s.attrs.bias = s.attrs.residual = s.attrs.relu = 1;
    std::shared_ptr<const ConvPlan> plan;
    ASSERT_TRUE(plans.Find(s, &plan).ok());
    EXPECT_EQ(f.fake.alive(), before + 2);  // plan and configuration
    f.fake.fail_finalize = CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
    s.attrs.stride[1] = 2;
    EXPECT_FALSE(plans.Find(s, &plan).ok());
    EXPECT_EQ(f.fake.alive(), before + 2);
  }
  EXPECT_EQ(f.fake.alive(), before);
}

// ---- Plans are shared

TEST(CudnnConv, EqualConvolutionsShareAPlan) {
  Fixture f;
  ConvPlans plans(f.fake.api(), f.target);
  std::shared_ptr<const ConvPlan> a, b, c, d;
  ConvSpec s = Spec(ConvKind::kForward), other = s, third = s;
  other.attrs.algorithm = kTf32;
  third.w_layout = Layout::kNhwc;
  ASSERT_TRUE(plans.Find(s, &a).ok() && plans.Find(s, &b).ok() && plans.Find(other, &c).ok() &&
              plans.Find(third, &d).ok());
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_NE(a, d);
  EXPECT_EQ(f.fake.heuristics, 3);
}

TEST(CudnnConv, AFailureIsRememberedAndNamesTheConvolution) {
  Fixture f;
  f.fake.engines.clear();
  ConvPlans plans(f.fake.api(), f.target);
  for (int i = 0; i < 2; ++i) {
    std::shared_ptr<const ConvPlan> plan;
    const Status s = plans.Find(Spec(ConvKind::kWeight, true), &plan);
    EXPECT_EQ(s.code(), Code::kUnsupported);
    EXPECT_EQ(plan, nullptr);
    EXPECT_EQ(
        s.message(),
        "conv2d by weight, x [2,8,6,5], w [16,4,3,3], stride 2 1, pad 1 2, dilation 1 2, groups 2, bf16: cuDNN has "
        "no engine for it that may be used");
  }
  EXPECT_EQ(f.fake.heuristics, 2);  // both modes, once
}

// ---- Which engine

TEST(CudnnEngines, RulesByNote) {
  const struct {
    EngineTraits engine;
    const char* exact;
    const char* tensor_cores;
    const char* winograd;
  } cases[] = {
      {{0, {}, {}}, nullptr, nullptr, nullptr},
      {{0, {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP}, {}}, nullptr, nullptr, nullptr},
      {{0, {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, {}}, "nondeterministic", "nondeterministic", "nondeterministic"},
      {{0, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, {}}, "on tensor cores", nullptr, "on tensor cores"},
      {{0, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, {}},
       "on tensor cores",
       "nondeterministic",
       "on tensor cores"},
      {{0, {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4}, {}},
       "by Winograd's transform",
       "by Winograd's transform",
       nullptr},
      {{0, {CUDNN_NUMERICAL_NOTE_FFT}, {}}, "by Fourier transform", "by Fourier transform", "by Fourier transform"},
      {{0, {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, {}},
       "on rounded inputs",
       "on rounded inputs",
       "on rounded inputs"},
      {{0, {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION}, {}},
       "with rounded sums",
       "with rounded sums",
       "with rounded sums"},
      {{0, {static_cast<cudnnBackendNumericalNote_t>(77)}, {}},
       "with a note of a newer cuDNN",
       "with a note of a newer cuDNN",
       "with a note of a newer cuDNN"},
      {{0, {}, {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}},
       "compiled at run time",
       "compiled at run time",
       "compiled at run time"},
      {{0, {}, {CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API}}, nullptr, nullptr, nullptr},
  };
  for (const auto& c : cases) {
    EXPECT_STREQ(Refusal(c.engine, {}), c.exact);
    EXPECT_STREQ(Refusal(c.engine, {.tensor_cores = true}), c.tensor_cores);
    EXPECT_STREQ(Refusal(c.engine, {.winograd = true}), c.winograd);
  }
}

TEST(CudnnEngines, TheFirstThatMayAndBuildsAndFits) {
  Fixture f;
  f.fake.engines[CUDNN_HEUR_MODE_A] = {
      {.index = 1, .numerical = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}},
      {.index = 2, .numerical = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}},
      {.index = 3, .builds = false},
      {.index = 4, .workspace = int64_t{1} << 40},
      {.index = 5, .workspace = 17, .knobs = {{2, 4}, {13, 0}}},
      {.index = 6},
  };
  const ConvPlan exact = f.Plan(Spec(ConvKind::kForward));
  EXPECT_EQ(exact.plan.engine, "5 2=4 13=0");
  EXPECT_EQ(exact.plan.workspace, 17u);
  ConvSpec tf32 = Spec(ConvKind::kForward);
  tf32.attrs.algorithm = kTf32;
  EXPECT_EQ(f.Plan(tf32).plan.engine, "2");
}

TEST(CudnnEngines, FallsBack) {
  Fixture f;
  f.fake.engines[CUDNN_HEUR_MODE_A] = {{.index = 1, .numerical = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}}};
  f.fake.engines[CUDNN_HEUR_MODE_FALLBACK] = {{.index = 9}};
  EXPECT_EQ(f.Plan(Spec(ConvKind::kForward)).plan.engine, "9");
}

TEST(CudnnEngines, SaysWhatWasRefusedAndWhatCudnnSaid) {
  Fixture f;
  f.fake.engines[CUDNN_HEUR_MODE_A] = {
      {.index = 1, .numerical = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}},
      {.index = 2, .numerical = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}},
      {.index = 3, .workspace = int64_t{1} << 40},
      {.index = 4, .builds = false},
  };
  ConvPlan plan;
  const Status s = MakeConvPlan(f.fake.api(), f.target, Spec(ConvKind::kForward), &plan);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_EQ(
      s.message(),
      "cuDNN has no engine for it that may be used, 2 nondeterministic, 1 with a workspace above 256 MiB; execution "
      "plan: cuDNN says NOT_SUPPORTED: this engine does not build");
}

// ---- Errors

TEST(CudnnGraph, TheFirstErrorSticks) {
  FakeCudnn fake;
  Building b(fake.api(), CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor");
  b.Set(CUDNN_ATTR_TENSOR_UNIQUE_ID, int64_t{1});
  Descriptor d;
  const Status s = b.Finish(&d);
  EXPECT_EQ(s.code(), Code::kInternal);
  EXPECT_EQ(s.message(), "tensor: cuDNN says BAD_PARAM: attribute " + std::to_string(CUDNN_ATTR_TENSOR_DATA_TYPE));
  EXPECT_FALSE(d);
}

TEST(CudnnGraph, WhatIsNotSupportedIsSaidSo) {
  FakeCudnn fake;
  fake.fail_finalize = CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
  Descriptor d;
  Building b(fake.api(), CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution");
  const Status s = b.Finish(&d);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_EQ(s.message(), "convolution: cuDNN says NOT_SUPPORTED: as the test wanted");
}

}  // namespace
}  // namespace distil::cuda
