// What programs on the oneDNN backend consist of: how many passes, reorders and bytes networks and steps take.
#include <algorithm>
#include <cstdlib>

#include "tests/onednn/step_lab.h"

namespace distil {
namespace {

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
      int reorders = 0;
      for (const std::string& line : f.program->Listing()) reorders += line.rfind("Reorder", 0) == 0;
      EXPECT_EQ(reorders, n.reorders);
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
// readers meet. Two norms' results are large enough to be computed again for a gradient: a read and a write each.
TEST(OneDnnNetwork, PassesOfATrainingStep) {
  Lab lab(Cpu(), {"ce", "", "resnet8", 6, 32, ""});
  lab.Step();
  if (HasFailure()) return;
  const Counts n = CountImages(*lab.trainer->programs().at(0), 6);
  EXPECT_EQ(n.convolutions, 3 * 9 - 1);  // no gradient of the images
  EXPECT_LE(n.fused_reads, 68);
  EXPECT_LE(n.fused_writes, 20);
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

// An allocator that fails, whenever it does: a status, and everything is given back.
TEST(OneDnnNetwork, OutOfMemoryIsAStatus) {
  int64_t left = 1 << 20, taken = 0, given = 0;
  HostOptions options;
  options.allocate = [&](size_t bytes) -> void* {
    if (left-- <= 0) return nullptr;
    ++taken;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  };
  options.release = [&](void* p, size_t) {
    ++given;
    std::free(p);
  };
  int failures = 0;
  for (int64_t allowed = 0; allowed < 3; ++allowed) {
    left = 1 << 20;
    auto device = Cpu(1, options);
    const auto network = MakeNetwork(device, "resnet8", 32);
    Graph g;
    Layers l(&g, network->variables(), {.train = false});
    g.Output("logits", network->Build(l, Input(&g, "images", network->ImageShape(2))).logits.id());
    left = allowed;
    std::unique_ptr<Program> program;
    const Status s = Program::Compile(device->backend.get(), g, {}, &program);
    failures += !s.ok();
    if (!s.ok()) {
      EXPECT_EQ(s.code(), Code::kOutOfMemory) << s.message();
    }
  }
  EXPECT_GE(failures, 2);
  EXPECT_EQ(taken, given);
}

}  // namespace
}  // namespace distil
