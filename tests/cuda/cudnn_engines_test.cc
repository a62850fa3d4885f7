// The real cuDNN, and no GPU: since version 9.8 a device can be described to it, and heuristics and plans work for the
// described one. Nothing runs; but which engines there are for the convolutions of our networks, what they are noted as,
// and what workspace they want, is what it would be on that device. Skips where cuDNN cannot be loaded.
#include <set>

#include "lib/backend/cuda/cudnn_conv.h"
#include "lib/backend/step_cost.h"
#include "tests/onednn/step_lab.h"

namespace distil::cuda {
namespace {

// An H200, as cuDNN describes devices.
constexpr const char* kH200 = R"({"deviceName":"NVIDIA H200","deviceVer":900,"driverVer":13000,"cudaDeviceId":0,
  "multiProcessorCount":132,"warpSize":32,"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],
  "regsPerBlock":65536,"maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":232448,
  "reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,
  "maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,"supportCoopLaunch":1,"totalGlobalMem":150000000000,
  "smClockRateKHz":1980000,"memClockRateKHz":3201000,"l2CacheSize":62914560})";

// cuDNN's plans for the described device, or why there are none here.
struct H200 {
  const Cudnn* api = nullptr;
  Descriptor device;
  std::unique_ptr<ConvPlans> plans;
  std::string missing;
  H200() {
    if (Status s = LoadCudnn(&api); !s.ok()) {
      missing = s.message();
      return;
    }
    if (api->cudnnGetVersion() < 90800) {
      missing = "cuDNN " + std::to_string(api->cudnnGetVersion()) + " cannot be told of a device: 9.8 can";
      return;
    }
    Building b(*api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device");
    const std::string_view text = kH200;
    b.Set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<int64_t>(text.size()), text.data());
    const Status s = b.Finish(&device);
    EXPECT_TRUE(s.ok()) << s.message();
    CudnnTarget target;
    target.device = &device;
    plans = std::make_unique<ConvPlans>(*api, target);
  }
};

class CudnnOnH200 : public testing::Test {
 protected:
  void SetUp() override {
    if (!gpu().missing.empty()) GTEST_SKIP() << gpu().missing;
  }
  static H200& gpu() {
    static H200 one;
    return one;
  }
  // The plan's engine, after it was found; "" and a failure otherwise.
  static std::string Engine(const ConvSpec& s, size_t* workspace = nullptr) {
    std::shared_ptr<const ConvPlan> plan;
    const Status status = gpu().plans->Find(s, &plan);
    EXPECT_TRUE(status.ok()) << status.message();
    if (!status.ok()) return "";
    if (workspace) *workspace = plan->plan.workspace;
    return plan->plan.engine;
  }
};

enum Arithmetic { kExact, kTf32Factors, kBf16 };

ConvSpec Spec(ConvKind kind, Arithmetic arithmetic, const Shape& x, int64_t out, int64_t kernel, int64_t stride = 1,
              int64_t groups = 1, int64_t dilation = 1) {
  ConvSpec s{kind,           x,    {out, x[1] / groups, kernel, kernel}, {x[0], out, 0, 0}, {}, Layout::kPlain,
             Layout::kPlain, false};
  for (int i = 0; i < 2; ++i) {
    s.attrs.stride[i] = stride;
    s.attrs.dilation[i] = dilation;
    s.attrs.pad[i] = kernel / 2 * dilation;
    s.y[2 + i] = (x[2 + i] + 2 * s.attrs.pad[i] - dilation * (kernel - 1) - 1) / stride + 1;
  }
  s.attrs.groups = groups;
  s.attrs.algorithm = arithmetic == kTf32Factors ? kTf32 : 0;
  s.bf16 = arithmetic == kBf16;
  if (arithmetic != kExact) s.x_layout = s.y_layout = s.w_layout = Layout::kNhwc;
  if (kernel == 1) s.w_layout = Layout::kPlain;
  return s;
}

std::vector<ConvSpec> Zoo(Arithmetic a) {
  std::vector<ConvSpec> specs;
  for (ConvKind k : {ConvKind::kForward, ConvKind::kInput, ConvKind::kWeight}) {
    specs.push_back(Spec(k, a, {64, 16, 32, 32}, 16, 3));  // CIFAR networks
    specs.push_back(Spec(k, a, {64, 32, 32, 32}, 64, 3, 2));
    specs.push_back(Spec(k, a, {64, 32, 32, 32}, 64, 1, 2));      // their shortcuts
    specs.push_back(Spec(k, a, {64, 256, 56, 56}, 64, 1));        // ResNet50
    specs.push_back(Spec(k, a, {64, 96, 28, 28}, 96, 3, 1, 96));  // MobileNetV2
    specs.push_back(Spec(k, a, {64, 64, 14, 14}, 64, 3, 1, 4));
    specs.push_back(Spec(k, a, {8, 32, 16, 16}, 32, 3, 1, 1, 2));
    specs.push_back(Spec(k, a, {64, 10, 7, 7}, 13, 3));  // channels of no use to tensor cores
    if (k != ConvKind::kInput) specs.push_back(Spec(k, a, {64, 3, 32, 32}, 16, 3));  // the first layer
  }
  return specs;
}

TEST_F(CudnnOnH200, HasAnEngineForEveryConvolution) {
  for (Arithmetic a : {kExact, kTf32Factors, kBf16})
    for (const ConvSpec& s : Zoo(a)) {
      SCOPED_TRACE(Describe(s) + (a == kTf32Factors ? ", tf32" : ""));
      size_t workspace = 0;
      const std::string engine = Engine(s, &workspace);
      std::printf("%-100s %-10s engine %s, workspace %.3f MB\n", Describe(s).c_str(), a == kTf32Factors ? "tf32" : "",
                  engine.c_str(), static_cast<double>(workspace) * 1e-6);
    }
}

// Why exact f32 is row-major: engines without tensor cores that get images channels-last transpose both on the way.
TEST_F(CudnnOnH200, LayoutsAreThoseThatEnginesTake) {
  for (ConvKind kind : {ConvKind::kForward, ConvKind::kInput}) {
    for (Arithmetic a : {kExact, kTf32Factors, kBf16}) {
      const ConvSpec chosen = Spec(kind, a, {64, 64, 32, 32}, 64, 3);
      ConvSpec other = chosen;
      other.x_layout = other.y_layout = other.w_layout = a == kExact ? Layout::kNhwc : Layout::kPlain;
      const size_t image = static_cast<size_t>(chosen.x.elements()) * (a == kBf16 ? 2 : 4);
      size_t own = 0, else_where = 0;
      Engine(chosen, &own);
      Engine(other, &else_where);
      EXPECT_LT(own, image / 4) << Describe(chosen);
      EXPECT_GE(else_where, image) << Describe(chosen);
    }
  }
}

TEST_F(CudnnOnH200, FusesWhatAFrozenNetworkNeeds) {
  for (Arithmetic a : {kExact, kTf32Factors, kBf16})
    for (int mask = 1; mask < 8; ++mask) {
      ConvSpec s = Spec(ConvKind::kForward, a, {64, 64, 16, 16}, 64, 3);
      s.attrs.residual = mask & 1, s.attrs.bias = mask >> 1 & 1, s.attrs.relu = mask >> 2 & 1;
      std::shared_ptr<const ConvPlan> plan;
      const Status status = gpu().plans->Find(s, &plan);
      if (s.attrs.bias) {  // others get one of zeros
        EXPECT_TRUE(status.ok()) << status.message();
      }
    }
}

TEST_F(CudnnOnH200, TheChoiceIsTheSameAgain) {
  CudnnTarget target;
  target.device = &gpu().device;
  for (Arithmetic a : {kExact, kBf16})
    for (ConvKind kind : {ConvKind::kForward, ConvKind::kInput, ConvKind::kWeight}) {
      const ConvSpec s = Spec(kind, a, {64, 32, 16, 16}, 64, 3, 2);
      ConvPlan again;
      ASSERT_TRUE(MakeConvPlan(*gpu().api, target, s, &again).ok());
      EXPECT_EQ(again.plan.engine, Engine(s));
    }
}

TEST_F(CudnnOnH200, RefusesInItsOwnWords) {
  ConvSpec s = Spec(ConvKind::kForward, kExact, {2, 8, 8, 8}, 8, 3);
  s.y[2] = 5;  // does not fit x, w and the padding
  std::shared_ptr<const ConvPlan> plan;
  const Status status = gpu().plans->Find(s, &plan);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("conv2d, x [2,8,8,8], w [8,8,3,3]"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("cuDNN says"), std::string::npos) << status.message();
}

// ---- Whole steps

// Rewrites graphs as for the described device. Computes nothing.
class Described : public Backend {
 public:
  explicit Described(ConvCheck check) : check_(std::move(check)), host_(MakeReferenceBackend({}, DType::kF32)) {}
  std::vector<Graph> graphs;
  std::string_view name() const override { return "described"; }
  std::string description() const override { return "for tests"; }
  Status Optimize(Graph* g, const CompileOptions& options) override {
    DISTIL_RETURN_IF_ERROR(OptimizeGraph(check_, options, g));
    graphs.push_back(*g);
    return {};
  }
  Status MakeKernel(const Graph&, NodeId, std::unique_ptr<Kernel>* out) override {
    struct Nothing : Kernel {
      void Run(const KernelArgs&) override {}
    };
    *out = std::make_unique<Nothing>();
    return {};
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return host_->MakeCopy(bytes); }
  size_t Bytes(const Graph& g, ValueId v) const override {
    return static_cast<size_t>(g.value(v).shape.elements()) * DTypeSize(g.value(v).dtype);
  }
  Status Allocate(size_t bytes, Buffer* out) override { return host_->Allocate(bytes, out); }
  Status Upload(void* to, const void* from, size_t bytes) override { return host_->Upload(to, from, bytes); }
  Status Download(void* to, const void* from, size_t bytes) override { return host_->Download(to, from, bytes); }
  Status Execute(std::span<const Launch>, std::shared_ptr<void>*) override { return {}; }

 private:
  ConvCheck check_;
  std::unique_ptr<Backend> host_;
};

// A step of distillation at batch 64: every convolution has an engine in the arithmetic that was asked for, those of the
// teacher take norm, sum and ReLU along, and what is left to move and to launch is printed.
TEST_F(CudnnOnH200, StepsOfDistillation) {
  const ConvCheck check = [](const ConvSpec& s) {
    std::shared_ptr<const ConvPlan> plan;
    return gpu().plans->Find(s, &plan);
  };
  const struct {
    const char *teacher, *student;
    int alone;  // frozen convolutions with nothing to take along: shortcuts of pre-activated blocks
  } pairs[] = {{"wrn_40_2", "wrn_16_2", 3}, {"resnet32x4", "resnet8x4", 0}};
  for (const auto& [teacher, student, alone] : pairs) {
    for (const char* mode : {"", "tf32=1", "bf16=1"}) {
      SCOPED_TRACE(std::string(teacher) + " " + student + " " + mode);
      auto backend = std::make_unique<Described>(check);
      Described* described = backend.get();
      auto device = std::make_shared<Device>();
      device->backend = std::move(backend);
      Lab lab(device, {"kd", teacher, student, 64, 32, mode});
      MemoryInfo memory;
      const Status s = lab.trainer->Memory(64, &memory);
      ASSERT_TRUE(s.ok()) << s.message();
      const Graph& g = described->graphs.back();
      int frozen = 0, split = 0;
      const std::vector<bool> fixed = FixedValues(g);
      for (NodeId id : LiveNodes(g)) {
        const Node& n = g.node(id);
        if (!IsConv(n.op)) continue;
        EXPECT_EQ(SpecOf(g, n).bf16, std::string(mode) == "bf16=1");
        if (!fixed[n.in[1]]) continue;
        ++frozen;
        const ConvAttrs a = ConvAttrs::Unpack(n.ints);
        split += !a.bias && !a.residual && !a.relu;
      }
      EXPECT_GT(frozen, 20);
      EXPECT_EQ(split, alone);
      std::printf("%s -> %s, batch 64, %s: arena %.1f MB without workspaces, %d of %d frozen convolutions alone\n%s",
                  teacher, student, *mode ? mode : "f32", static_cast<double>(memory.arena) * 1e-6, split, frozen,
                  ToText(CostOf(g)).c_str());
    }
  }
}

}  // namespace
}  // namespace distil::cuda
