// Whole networks and distillation steps on the oneDNN backend: their numbers against the reference in f64, and how many
// passes, reorders and bytes they take.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>

#include "lib/train/trainer.h"
#include "tests/golden/fill.h"
#include "tests/ops/harness.h"

namespace distil {
namespace {

#define ASSERT_OK(expr)                                      \
  do {                                                       \
    const ::distil::Status ok_ = (expr);                     \
    ASSERT_TRUE(ok_.ok()) << #expr << ": " << ok_.message(); \
  } while (0)

std::shared_ptr<Device> Reference() {
  static const auto device = [] {
    auto d = std::make_shared<Device>();
    d->backend = MakeReferenceBackend({}, DType::kF64);
    return d;
  }();
  return device;
}

std::shared_ptr<Device> Cpu(int threads = 2, HostOptions options = {}) {
  auto d = std::make_shared<Device>();
  options.threads = threads;
  d->backend = MakeOneDnnBackend(options);
  return d;
}

// A network with the same numbers on every device: plausible ones, running statistics included.
std::shared_ptr<Network> MakeNetwork(const std::shared_ptr<Device>& device, const std::string& name, int64_t size) {
  const int64_t input[3] = {3, size, size};
  std::shared_ptr<Network> n;
  Status s = Network::CreateFromZoo(device, name, 10, input, 1, &n);
  for (const VariableRef& v : n->all()) {
    const std::vector<int64_t> dims(v->shape.dims().begin(), v->shape.dims().end());
    const std::vector<float> values = golden::FillTensor(v->name, dims);
    if (s.ok()) s = WriteVariable(device->backend.get(), std::span(values), v.get());
  }
  EXPECT_TRUE(s.ok()) << s.message();
  return n;
}

struct Setting {
  std::string method = "kd", teacher = "resnet8x4", student = "resnet8";
  int64_t batch = 4, size = 16;
  std::string options;
};

// A trainer with its networks, and a batch for it.
struct Lab {
  std::shared_ptr<Device> device;
  Trainer::Roles roles;
  std::unique_ptr<Trainer> trainer;
  std::vector<float> images;
  std::vector<int32_t> labels;
  Batch batch;

  Lab(std::shared_ptr<Device> d, const Setting& s) : device(std::move(d)) {
    roles.emplace_back("student", MakeNetwork(device, s.student, s.size));
    if (!s.teacher.empty()) roles.emplace_back("teacher", MakeNetwork(device, s.teacher, s.size));
    TextOptions options;
    Status status = SplitOptions("schedule=constant lr=0.05 momentum=0.9 weight_decay=5e-4 " + s.options, &options);
    if (status.ok()) status = Trainer::Create(device, s.method, options, roles, &trainer);
    EXPECT_TRUE(status.ok()) << status.message();
    images = golden::FillTensor("images", {s.batch, 3, s.size, s.size});
    for (int64_t i = 0; i < s.batch; ++i) labels.push_back(static_cast<int32_t>(i * 7 % 10));
    batch.count = s.batch;
    batch.images = images.data();
    batch.labels = labels.data();
  }
  void Step() {
    StepResult result;
    const Status s = trainer->Step(batch, &result);
    EXPECT_TRUE(s.ok()) << s.message();
  }
  Network& student() { return *roles[0].second; }
  std::vector<double> Values(const VariableRef& v) { return ValuesOf(device->backend.get(), v); }
  std::vector<float> Gradient(const std::string& name, size_t n) {
    std::vector<float> g(n);
    const Status s = trainer->Gradient("student", name, g);
    EXPECT_TRUE(s.ok()) << s.message();
    return g;
  }
};

double Norm(const std::vector<double>& v) {
  double s = 0;
  for (double x : v) s += x * x;
  return std::sqrt(s);
}

// The largest error of a tensor, relative to its size or, for what should be (almost) zero, to a share of `scale`.
struct Errors {
  double worst = 0;
  std::string where;
  void Add(const std::vector<double>& got, const std::vector<double>& want, double scale, const std::string& name) {
    std::vector<double> d;
    for (size_t i = 0; i < got.size(); ++i) d.push_back(got[i] - want[i]);
    const double e = Norm(d) / std::max({Norm(want), scale, 1e-30});
    if (!(e <= worst)) worst = e, where = name;
  }
};

struct Way {
  const char* name;
  Setting setting;
  int threads;
  double tolerance;  // of the gradients; terms and statistics have a tenth of it
};

// In f32, tolerances are some ten times the errors that were seen, which the test prints. In bf16, rounding turns some
// ReLUs on and off at every layer, and batch norm over few numbers magnifies that: gradients of these networks are off
// by 0.2, in PyTorch's autocast too.
std::vector<Way> Ways() {
  return {
      {"resnet8", {"ce", "", "resnet8", 4, 32, ""}, 2, 2e-5},
      {"resnet8x4", {"ce", "", "resnet8x4", 3, 16, ""}, 2, 2e-5},
      {"wrn_16_1", {"ce", "", "wrn_16_1", 3, 16, ""}, 2, 2e-5},
      {"wrn_16_2", {"ce", "", "wrn_16_2", 2, 16, ""}, 1, 2e-5},
      {"vgg8", {"ce", "", "vgg8", 2, 16, ""}, 2, 2e-5},
      {"one_image", {"ce", "", "resnet8", 1, 32, ""}, 2, 2e-5},
      {"kd_resnet", {"kd", "resnet8x4", "resnet8", 3, 16, ""}, 2, 2e-5},
      {"kd_wrn", {"kd", "wrn_16_2", "wrn_16_1", 3, 16, ""}, 2, 2e-5},
      {"kd_vgg", {"kd", "vgg8", "resnet8", 1, 16, ""}, 2, 2e-5},
      {"at", {"at", "resnet8x4", "resnet8", 3, 16, ""}, 2, 2e-5},
      {"fitnet", {"fitnet", "resnet8x4", "resnet8", 3, 16, ""}, 2, 2e-5},
      {"sp", {"sp", "wrn_16_2", "resnet8", 3, 16, ""}, 2, 2e-5},
      {"winograd", {"kd", "resnet8x4", "resnet8", 2, 32, "winograd=1"}, 2, 5e-5},
      {"winograd_wrn", {"kd", "wrn_16_2", "wrn_16_2", 3, 16, "winograd=1"}, 1, 5e-5},
      {"bf16", {"kd", "resnet8x4", "resnet8", 6, 16, "bf16=1"}, 2, 0.5},
      {"bf16_wrn", {"kd", "wrn_16_2", "wrn_16_1", 8, 16, "bf16=1"}, 1, 0.5},
      {"bf16_vgg", {"ce", "", "vgg8", 4, 16, "bf16=1"}, 2, 0.5},
  };
}

class Steps : public testing::TestWithParam<size_t> {};

TEST_P(Steps, AgreeWithReference) {
  const Way way = Ways()[GetParam()];
  Setting setting = way.setting;
  setting.options += " gradients=1";
  Setting exact = way.setting;
  exact.options = "gradients=1";
  Lab want(Reference(), exact), got(Cpu(way.threads), setting), again(Cpu(way.threads), setting);
  want.Step(), got.Step(), again.Step();
  if (HasFailure()) return;

  Errors terms, statistics, gradients;
  ASSERT_EQ(got.trainer->terms().size(), want.trainer->terms().size());
  for (size_t i = 0; i < want.trainer->terms().size(); ++i) {
    const auto& [name, value] = want.trainer->terms()[i];
    terms.Add({got.trainer->terms()[i].second}, {value}, 0, name);
    EXPECT_EQ(got.trainer->terms()[i].second, again.trainer->terms()[i].second) << name;
  }
  double largest = 0;
  std::vector<std::pair<std::string, std::vector<double>>> tensors[2];
  for (size_t i = 0; i < want.student().all().size(); ++i) {
    const VariableRef &v = want.student().all()[i], &w = got.student().all()[i];
    EXPECT_EQ(got.Values(w), again.Values(again.student().all()[i])) << v->name << " differs between two runs";
    if (v->kind != VariableKind::kParameter) {
      statistics.Add(got.Values(w), want.Values(v), 0, v->name);
      continue;
    }
    const auto n = static_cast<size_t>(v->shape.elements());
    const std::vector<float> a = got.Gradient(v->name, n), b = want.Gradient(v->name, n);
    tensors[0].emplace_back(v->name, std::vector<double>(a.begin(), a.end()));
    tensors[1].emplace_back(v->name, std::vector<double>(b.begin(), b.end()));
    largest = std::max(largest, Norm(tensors[1].back().second));
  }
  // A bias before a batch norm has gradient zero, so what is small among the gradients is compared with them.
  for (size_t i = 0; i < tensors[0].size(); ++i)
    gradients.Add(tensors[0][i].second, tensors[1][i].second, 0.02 * largest, tensors[0][i].first);
  EXPECT_LE(gradients.worst, way.tolerance) << "gradient of " << gradients.where;
  EXPECT_LE(statistics.worst, way.tolerance / 10) << statistics.where;
  EXPECT_LE(terms.worst, way.tolerance / 10) << "term " << terms.where;
  std::printf("errors: terms %.1e, statistics %.1e, gradients %.1e (%s)\n", terms.worst, statistics.worst,
              gradients.worst, gradients.where.c_str());
}

INSTANTIATE_TEST_SUITE_P(Ways, Steps, testing::Range<size_t>(0, Ways().size()),
                         [](const auto& info) { return std::string(Ways()[info.param].name); });

// ---- One thread and two

TEST(OneDnnNetwork, NumbersDoNotHangOnThreads) {
  const Setting setting = {"kd", "resnet8x4", "resnet8", 5, 32, "gradients=1"};
  Lab one(Cpu(1), setting), two(Cpu(2), setting), three(Cpu(3), setting);
  one.Step(), two.Step(), three.Step();
  Errors errors;
  for (size_t i = 0; i < one.student().all().size(); ++i) {
    const std::vector<double> want = one.Values(one.student().all()[i]);
    errors.Add(two.Values(two.student().all()[i]), want, 1e-3, one.student().all()[i]->name);
    errors.Add(three.Values(three.student().all()[i]), want, 1e-3, one.student().all()[i]->name);
  }
  EXPECT_LE(errors.worst, 1e-5) << errors.where;
}

// ---- Frozen networks

struct Frozen {
  std::shared_ptr<Device> device = Cpu();
  std::shared_ptr<Network> network;
  std::unique_ptr<Program> program;
  explicit Frozen(const std::string& name, const CompileOptions& options = {}, bool plain = false, int64_t batch = 6) {
    if (plain) device = Reference();
    network = MakeNetwork(device, name, 32);
    Graph g;
    Layers l(&g, network->variables(), {.train = false});
    const Features f = network->Build(l, Input(&g, "images", network->ImageShape(batch)));
    g.Output("logits", f.logits.id());
    const Status s = Program::Compile(device->backend.get(), g, options, &program);
    EXPECT_TRUE(s.ok()) << s.message();
  }
  std::vector<double> Logits(const std::vector<float>& images) {
    Shape shape;
    Status s = program->OutputShape("logits", &shape);
    std::vector<double> z(static_cast<size_t>(shape.elements()));
    if (s.ok()) s = program->SetInput("images", std::span(images));
    if (s.ok()) s = program->Run();
    if (s.ok()) s = program->Fetch("logits", std::span(z));
    EXPECT_TRUE(s.ok()) << s.message();
    return z;
  }
};

bool IsImages(const Shape& s, int64_t batch) { return s.rank() == 4 && s[0] == batch && s[2] * s[3] > 1; }

// Nodes of the optimised program that a run launches, by what they do to images (rank 4, more than one place).
struct Counts {
  int convolutions = 0, pools = 0, reorders = 0, fused = 0, fused_reads = 0, fused_writes = 0, other = 0;
};
Counts CountImages(const Program& p, int64_t batch) {
  Counts c;
  const Graph& g = p.graph();
  for (NodeId id : LiveNodes(g)) {
    const Node& n = g.node(id);
    int reads = 0, writes = 0;
    for (ValueId v : n.in) reads += IsImages(g.value(v).shape, batch);
    for (ValueId v : n.out) writes += IsImages(g.value(v).shape, batch);
    if (reads + writes == 0 || n.op == Op::kInput) continue;
    switch (n.op) {
      case Op::kConv2d:
      case Op::kConv2dInput:
      case Op::kConv2dWeight: ++c.convolutions; break;
      case Op::kReorder: ++c.reorders; break;
      case Op::kMaxPool:
      case Op::kMaxPoolScatter:
      case Op::kAvgPool:
      case Op::kAvgPoolGrad: ++c.pools; break;
      case Op::kFused: ++c.fused, c.fused_reads += reads, c.fused_writes += writes; break;
      default: ++c.other;
    }
  }
  return c;
}

// Every convolution takes its norm, sum and ReLU along; nothing else touches images but pooling and the global average.
TEST(OneDnnNetwork, AFrozenNetworkIsItsConvolutions) {
  const struct {
    const char* name;
    int convolutions, pools, fused;
  } cases[] = {
      {"resnet8x4", 7 + 3, 0, 1},
      {"resnet32", 31 + 2, 0, 1},
      {"vgg8", 5, 3, 1},
      {"wrn_16_2", 13 + 3, 0, 6},  // each block's first norm, which follows a sum; the last one is averaged at once
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    for (CompileOptions options : {CompileOptions{}, {.winograd = true}, {.bf16 = true}}) {
      Frozen f(c.name, options);
      const Counts n = CountImages(*f.program, 6);
      EXPECT_EQ(n.convolutions, c.convolutions);
      EXPECT_EQ(n.pools, c.pools);
      EXPECT_EQ(n.fused, c.fused);
      EXPECT_EQ(n.reorders, options.bf16 ? 1 : 0);  // the images themselves
      EXPECT_EQ(n.other, 0);
      // Weights were folded and reordered once.
      for (const std::string& line : f.program->Listing())
        if (!options.bf16) EXPECT_NE(line.rfind("Reorder", 0), 0u) << line;
      // Behind the convolutions: global average, linear layer, bias.
      EXPECT_LE(f.program->launches(), static_cast<size_t>(c.convolutions + c.pools + c.fused + n.reorders + 3));
    }
  }
}

TEST(OneDnnNetwork, FoldedLikeUnfolded) {
  const std::vector<float> images = golden::FillTensor("images", {2, 3, 32, 32});
  for (const char* name : {"resnet8x4", "wrn_16_2", "vgg8"}) {
    const std::vector<double> want = Frozen(name, {}, true, 2).Logits(images);
    const double size = Norm(want);
    auto error = [&](const CompileOptions& options) {
      Frozen f(name, options, false, 2);
      std::vector<double> d = f.Logits(images);
      EXPECT_EQ(f.Logits(images), d) << name;
      for (size_t i = 0; i < d.size(); ++i) d[i] -= want[i];
      return Norm(d) / size;
    };
    EXPECT_LE(error({}), 2e-6) << name;
    EXPECT_LE(error({.winograd = true}), 2e-5) << name;
    EXPECT_LE(error({.bf16 = true}), 0.03) << name;
  }
}

// Weights that change are folded anew.
TEST(OneDnnNetwork, AFrozenProgramFollowsItsNetwork) {
  const std::vector<float> images = golden::FillTensor("images", {6, 3, 32, 32});
  Frozen f("resnet8");
  const std::vector<double> before = f.Logits(images);
  const VariableRef v = f.network->variables()->Find("bn1.running_mean");
  std::vector<double> mean = ValuesOf(f.device->backend.get(), v), moved = mean;
  for (double& x : moved) x += 0.5;
  ASSERT_OK(WriteVariable(f.device->backend.get(), std::span<const double>(moved), v.get()));
  EXPECT_NE(f.Logits(images), before);
  ASSERT_OK(WriteVariable(f.device->backend.get(), std::span<const double>(mean), v.get()));
  EXPECT_EQ(f.Logits(images), before);
}

// ---- Steps: passes, reorders, memory, allocations

const Setting kSteps[] = {
    {"kd", "wrn_16_2", "wrn_16_1", 6, 32, ""},
    {"kd", "resnet8x4", "resnet8", 6, 32, ""},
    {"kd", "vgg8", "vgg8", 6, 32, ""},
};

TEST(OneDnnNetwork, StepsMoveImagesNowhere) {
  for (const Setting& s : kSteps) {
    for (const char* mode : {"", "winograd=1", "bf16=1"}) {
      SCOPED_TRACE(s.teacher + " " + s.student + " " + mode);
      Setting setting = s;
      setting.options = mode;
      Lab lab(Cpu(), setting);
      lab.Step();
      if (HasFailure()) return;
      const Program& p = *lab.trainer->programs().at(0);
      const Counts n = CountImages(p, s.batch);
      EXPECT_LE(n.reorders, std::string(mode) == "bf16=1" ? 1 : 0);  // the images themselves
      EXPECT_EQ(n.other, 0);
    }
  }
}

// resnet8 has nine convolutions with a norm each. Forward, a norm costs three reads and a write, where a block ends less
// for two of them. Backward, two reads for its sums and two and a write for its result, more where gradients of several
// readers meet.
TEST(OneDnnNetwork, PassesOfATrainingStep) {
  Lab lab(Cpu(), {"ce", "", "resnet8", 6, 32, ""});
  lab.Step();
  if (HasFailure()) return;
  const Counts n = CountImages(*lab.trainer->programs().at(0), 6);
  EXPECT_EQ(n.convolutions, 3 * 9 - 1);  // no gradient of the images
  EXPECT_LE(n.fused_reads, 66);
  EXPECT_LE(n.fused_writes, 18);
  std::printf("fused passes %d: %d reads, %d writes\n", n.fused, n.fused_reads, n.fused_writes);
}

// A parameter's sum of squares, and one update of weight and momentum; small ones share.
TEST(OneDnnNetwork, AnUpdateIsOnePass) {
  Lab lab(Cpu(), {"ce", "", "resnet8", 6, 32, ""});
  lab.Step();
  if (HasFailure()) return;
  const Graph& g = lab.trainer->programs().at(0)->graph();
  const Shape weight{64, 64, 3, 3};  // there is one
  int reads = 0, writes = 0;
  for (NodeId id : LiveNodes(g)) {
    const Node& n = g.node(id);
    if (n.op != Op::kFused) continue;
    for (ValueId v : n.in) reads += g.value(v).shape == weight;
    for (ValueId v : n.out) writes += g.value(v).shape == weight;
  }
  EXPECT_EQ(reads, 1 + 3);
  EXPECT_EQ(writes, 2);
}

// The arena against the most bytes that are needed at one time.
TEST(OneDnnNetwork, TheArenaIsPacked) {
  for (const Setting& s : kSteps) {
    for (const char* mode : {"", "winograd=1", "bf16=1"}) {
      Setting setting = s;
      setting.options = mode;
      Lab lab(Cpu(), setting);
      MemoryInfo m;
      ASSERT_OK(lab.trainer->Memory(64, &m));
      const double ratio = static_cast<double>(m.arena) / static_cast<double>(m.live);
      EXPECT_LE(ratio, 1.05) << s.teacher << " " << s.student << " " << mode;
      std::printf("%s %s %s: %.1f MiB, %.3f of what is alive\n", s.teacher.c_str(), s.student.c_str(), mode,
                  static_cast<double>(m.arena) / (1 << 20), ratio);
    }
  }
}

TEST(OneDnnNetwork, AStepTakesNoMemory) {
  int64_t taken = 0, given = 0, planned = 0;
  HostOptions options;
  options.allocate = [&](size_t bytes) -> void* {
    ++taken;
    planned += static_cast<int64_t>(bytes);
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  };
  options.release = [&](void* p, size_t) {
    ++given;
    std::free(p);
  };
  {
    Lab lab(Cpu(2, options), {"kd", "resnet8x4", "resnet8", 4, 32, ""});
    lab.Step();
    MemoryInfo m;
    ASSERT_OK(lab.trainer->Memory(4, &m));
    // Each tensor has some bytes more, for its alignment.
    EXPECT_GE(planned, static_cast<int64_t>(m.total()));
    EXPECT_LE(planned, static_cast<int64_t>(m.total()) + 64 * taken);
    const int64_t before = taken;
    for (int i = 0; i < 3; ++i) lab.Step();
    EXPECT_EQ(taken, before);
  }
  EXPECT_EQ(taken, given);
}

}  // namespace
}  // namespace distil
