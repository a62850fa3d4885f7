// What the networks are made of: sizes, names, taps, initial values. Nothing is computed here.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "models/model.h"

namespace distil {
namespace {

// A network built into a graph; variables have no memory, only their initialisation is kept.
struct Built {
  Graph g;
  std::map<std::string, Init> init;
  VariableSet variables{[this](Variable* v, const Init& i) {
    init[v->name] = i;
    return Status();
  }};
  Features f;

  Built(const char* name, const Shape& images, const BuildOptions& o = {}, bool train = false) {
    Layers l(&g, &variables, {.train = train});
    f = FindModel(name)->Build(l, Input(&g, "images", images), o);
  }
};

std::string Names(const VariableSet& set) {
  std::string s;
  for (const VariableRef& v : set.all()) s += v->name + " ";
  return s;
}

// "bn1." + each of a batch norm's tensors, in PyTorch's order.
std::string Norm(const std::string& n) {
  return n + ".weight " + n + ".bias " + n + ".running_mean " + n + ".running_var " + n + ".num_batches_tracked ";
}

// ---- Counts: at 100 classes and 3x32x32, measured on RepDistiller's own code -------------------------------

struct Count {
  const char* name;
  int64_t parameters, macs;
  std::vector<Shape> taps;  // of one image
  Shape map = {};           // what is pooled, where it is not the last tap
};

std::vector<Shape> Three(int64_t stem, int64_t w) {
  return {{1, stem, 32, 32}, {1, w, 32, 32}, {1, 2 * w, 16, 16}, {1, 4 * w, 8, 8}};
}
std::vector<Shape> Four(int64_t expansion) {
  std::vector<Shape> taps = {{1, 64, 32, 32}};
  for (int64_t s = 0; s < 4; ++s) taps.push_back({1, expansion * (64 << s), 32 >> s, 32 >> s});
  return taps;
}
const std::vector<Shape> kVggTaps = {{1, 64, 32, 32}, {1, 128, 16, 16}, {1, 256, 8, 8}, {1, 512, 4, 4}, {1, 512, 4, 4}};

const Count kCounts[] = {
    {"resnet8", 83892, 12507392, Three(16, 16)},
    {"resnet14", 181108, 26663168, Three(16, 16)},
    {"resnet20", 278324, 40818944, Three(16, 16)},
    {"resnet32", 472756, 69130496, Three(16, 16)},
    {"resnet44", 667188, 97442048, Three(16, 16)},
    {"resnet56", 861620, 125753600, Three(16, 16)},
    {"resnet110", 1736564, 253155584, Three(16, 16)},
    {"resnet8x4", 1233540, 177071104, Three(32, 64)},
    {"resnet32x4", 7433860, 1083040768, Three(32, 64)},
    {"wrn_16_1", 180916, 26663168, Three(16, 16)},
    {"wrn_16_2", 703284, 101118464, Three(16, 32)},
    {"wrn_40_1", 569780, 83286272, Three(16, 16)},
    {"wrn_40_2", 2255156, 327610880, Three(16, 32)},
    {"vgg8", 3965028, 96192512, kVggTaps},
    {"vgg11", 9277284, 209438720, kVggTaps},
    {"vgg13", 9462180, 284936192, kVggTaps},
    {"vgg16", 14774436, 398182400, kVggTaps},
    {"vgg19", 20086692, 511428608, kVggTaps},
    {"resnet18_cifar", 11220132, 555468800, Four(1)},
    {"resnet34_cifar", 21328292, 1159448576, Four(1)},
    {"resnet50_cifar", 23705252, 1298014208, Four(4)},
    {"mobilenet_v2_x0_5",
     812836,
     6523648,
     {{1, 16, 16, 16}, {1, 12, 16, 16}, {1, 16, 8, 8}, {1, 48, 4, 4}, {1, 160, 2, 2}},
     {1, 1280, 2, 2}},
    {"shufflenet_v1", 949258, 38691456, {{1, 24, 32, 32}, {1, 240, 16, 16}, {1, 480, 8, 8}, {1, 960, 4, 4}}},
    {"shufflenet_v2",
     1355528,
     44504448,
     {{1, 24, 32, 32}, {1, 116, 16, 16}, {1, 232, 8, 8}, {1, 464, 4, 4}},
     {1, 1024, 4, 4}},
};

TEST(Models, CountsAndTaps) {
  EXPECT_EQ(std::size(kCounts), AllModels().size());
  for (const Count& c : kCounts) {
    SCOPED_TRACE(c.name);
    const Model* m = FindModel(c.name);
    ASSERT_NE(m, nullptr);
    Built b(c.name, {1, 3, 32, 32});
    ASSERT_EQ(b.g.error(), "");
    const ModelCost cost = CostOf(b.g, 1);
    EXPECT_EQ(cost.parameters, c.parameters);
    EXPECT_EQ(cost.macs, c.macs);
    ASSERT_EQ(b.f.taps.size(), c.taps.size());
    EXPECT_EQ(m->stages + 1, static_cast<int>(c.taps.size()));
    for (size_t i = 0; i < c.taps.size(); ++i) {
      EXPECT_EQ(b.f.taps[i].post.shape(), c.taps[i]) << i;
      EXPECT_EQ(b.f.taps[i].pre.shape(), c.taps[i]) << i;
    }
    const Shape map = c.map.rank() ? c.map : c.taps.back();
    EXPECT_EQ(b.f.map.shape(), map);
    EXPECT_EQ(b.f.pooled.shape(), (Shape{1, map[1]}));
    EXPECT_EQ(b.f.logits.shape(), (Shape{1, 100}));
  }
}

TEST(Models, CostIsPerImageAndPerClass) {
  Built one("resnet8", {1, 3, 32, 32}), many("resnet8", {7, 3, 32, 32}, {.classes = 10}, /*train=*/true);
  EXPECT_EQ(CostOf(many.g, 7).parameters, CostOf(one.g, 1).parameters - 90 * 65);  // weight and bias of 90 classes
  EXPECT_EQ(CostOf(many.g, 7).macs, CostOf(one.g, 1).macs - 90 * 64);
}

TEST(Models, CostOfTransposedConvolution) {
  Graph g;
  VariableSet set([](Variable*, const Init&) { return Status(); });
  Layers l(&g, &set, {});
  l.ConvTranspose("up", Input(&g, "x", {2, 6, 5, 5}), 4, 4, {.stride = 2, .pad = 1});
  EXPECT_EQ(CostOf(g, 2).macs, 5 * 5 * 6 * 4 * 16);  // Hin Win Cin Cout kh kw
}

// ---- Names: those of public PyTorch checkpoints, in the order of their state_dict --------------------------

TEST(Models, NamesOfResNet8x4) {
  std::string expected = "conv1.weight " + Norm("bn1");
  for (const char* layer : {"layer1.0", "layer2.0", "layer3.0"}) {
    const std::string p = std::string(layer) + ".";
    expected += p + "conv1.weight " + Norm(p + "bn1") + p + "conv2.weight " + Norm(p + "bn2") + p +
                "downsample.0.weight " + Norm(p + "downsample.1");
  }
  EXPECT_EQ(Names(Built("resnet8x4", {1, 3, 32, 32}).variables), expected + "fc.weight fc.bias ");
  // A stem as wide as stage 1 needs no projection there.
  EXPECT_EQ(Built("resnet8", {1, 3, 32, 32}).variables.Find("layer1.0.downsample.0.weight"), nullptr);
}

TEST(Models, NamesOfWrn) {
  std::string expected = "conv1.weight ";
  for (int s = 1; s <= 3; ++s) {
    for (int b = 0; b < 2; ++b) {
      const std::string p = "block" + std::to_string(s) + ".layer." + std::to_string(b) + ".";
      expected += Norm(p + "bn1") + p + "conv1.weight " + Norm(p + "bn2") + p + "conv2.weight ";
      if (b == 0) expected += p + "convShortcut.weight ";
    }
  }
  EXPECT_EQ(Names(Built("wrn_16_2", {1, 3, 32, 32}).variables), expected + Norm("bn1") + "fc.weight fc.bias ");
  EXPECT_EQ(Built("wrn_16_1", {1, 3, 32, 32}).variables.Find("block1.layer.0.convShortcut.weight"), nullptr);
}

TEST(Models, NamesOfVgg) {
  std::string expected;
  for (int g = 0; g < 5; ++g) {
    const std::string p = "block" + std::to_string(g) + ".";
    expected += p + "0.weight " + p + "0.bias " + Norm(p + "1");
  }
  EXPECT_EQ(Names(Built("vgg8", {1, 3, 32, 32}).variables), expected + "classifier.weight classifier.bias ");
  EXPECT_NE(Built("vgg13", {1, 3, 32, 32}).variables.Find("block4.4.running_var"), nullptr);
}

TEST(Models, NamesOfResNet50) {
  std::string expected = "conv1.weight " + Norm("bn1");
  const int blocks[] = {3, 4, 6, 3};
  for (int s = 0; s < 4; ++s) {
    for (int b = 0; b < blocks[s]; ++b) {
      const std::string p = "layer" + std::to_string(s + 1) + "." + std::to_string(b) + ".";
      for (const char* i : {"1", "2", "3"}) expected += p + "conv" + i + ".weight " + Norm(p + "bn" + i);
      if (b == 0) expected += p + "shortcut.0.weight " + Norm(p + "shortcut.1");
    }
  }
  EXPECT_EQ(Names(Built("resnet50_cifar", {1, 3, 32, 32}).variables), expected + "linear.weight linear.bias ");
  // A stem as wide as stage 1 needs no projection there.
  EXPECT_EQ(Built("resnet18_cifar", {1, 3, 32, 32}).variables.Find("layer1.0.shortcut.0.weight"), nullptr);
}

TEST(Models, NamesOfMobileNetV2) {
  std::string expected = "conv1.0.weight " + Norm("conv1.1");
  const int blocks[] = {1, 2, 3, 4, 3, 3, 1};
  for (int s = 0; s < 7; ++s) {
    for (int b = 0; b < blocks[s]; ++b) {
      const std::string p = "blocks." + std::to_string(s) + "." + std::to_string(b) + ".conv.";
      for (int i : {0, 3, 6}) expected += p + std::to_string(i) + ".weight " + Norm(p + std::to_string(i + 1));
    }
  }
  EXPECT_EQ(Names(Built("mobilenet_v2_x0_5", {1, 3, 32, 32}).variables),
            expected + "conv2.0.weight " + Norm("conv2.1") + "classifier.0.weight classifier.0.bias ");
}

TEST(Models, NamesOfShuffleNets) {
  std::string v1 = "conv1.weight " + Norm("bn1"), v2 = v1;
  const int units[] = {4, 8, 4};
  for (int s = 0; s < 3; ++s) {
    for (int u = 0; u < units[s]; ++u) {
      const std::string p = "layer" + std::to_string(s + 1) + "." + std::to_string(u) + ".";
      for (int i = 1; i <= 5; ++i) {
        const std::string both = p + "conv" + std::to_string(i) + ".weight " + Norm(p + "bn" + std::to_string(i));
        if (i <= 3) v1 += both;
        if (i <= 3 || u == 0) v2 += both;
      }
    }
  }
  EXPECT_EQ(Names(Built("shufflenet_v1", {1, 3, 32, 32}).variables), v1 + "linear.weight linear.bias ");
  EXPECT_EQ(Names(Built("shufflenet_v2", {1, 3, 32, 32}).variables),
            v2 + "conv2.weight " + Norm("bn2") + "linear.weight linear.bias ");
}

// ---- Initial values ----------------------------------------------------------------------------------------

TEST(Models, Initialisation) {
  Built r("resnet8", {1, 3, 32, 32}), w("wrn_16_2", {1, 3, 32, 32}), v("vgg8", {1, 3, 32, 32});
  Built d("resnet18_cifar", {1, 3, 32, 32}), m("mobilenet_v2_x0_5", {1, 3, 32, 32}), s("shufflenet_v1", {1, 3, 32, 32});
  auto expect = [](const Built& b, const char* name, Init::Kind kind, double a) {
    ASSERT_EQ(b.init.count(name), 1u) << name;
    EXPECT_EQ(b.init.at(name).kind, kind) << name;
    EXPECT_DOUBLE_EQ(b.init.at(name).a, a) << name;
  };
  expect(r, "conv1.weight", Init::kNormal, std::sqrt(2.0 / (9 * 16)));  // N(0, 2 / (kh kw C_out))
  expect(r, "layer2.0.downsample.0.weight", Init::kNormal, std::sqrt(2.0 / 32));
  expect(r, "bn1.weight", Init::kConstant, 1);
  expect(r, "bn1.bias", Init::kConstant, 0);
  expect(r, "bn1.running_var", Init::kConstant, 1);
  expect(r, "fc.weight", Init::kUniform, 1 / std::sqrt(64.0));  // PyTorch's default
  expect(r, "fc.bias", Init::kUniform, 1 / std::sqrt(64.0));
  expect(w, "block1.layer.0.convShortcut.weight", Init::kNormal, std::sqrt(2.0 / 32));
  expect(w, "fc.weight", Init::kUniform, 1 / std::sqrt(128.0));
  expect(w, "fc.bias", Init::kConstant, 0);
  expect(v, "block0.0.weight", Init::kNormal, std::sqrt(2.0 / (9 * 64)));
  expect(v, "block0.0.bias", Init::kConstant, 0);
  expect(v, "classifier.weight", Init::kNormal, 0.01);
  expect(v, "classifier.bias", Init::kConstant, 0);
  expect(d, "layer2.0.shortcut.0.weight", Init::kNormal, std::sqrt(2.0 / 128));
  expect(d, "linear.bias", Init::kUniform, 1 / std::sqrt(512.0));
  expect(m, "blocks.1.0.conv.3.weight", Init::kNormal, std::sqrt(2.0 / (9 * 48)));  // depthwise: C_out all the same
  expect(m, "classifier.0.weight", Init::kNormal, 0.01);
  expect(m, "classifier.0.bias", Init::kConstant, 0);
  expect(s, "layer1.1.conv1.weight", Init::kUniform, 1 / std::sqrt(80.0));  // 240 channels in 3 groups
  expect(s, "layer1.1.conv2.weight", Init::kUniform, 1 / 3.0);
}

// ---- Taps and running statistics ---------------------------------------------------------------------------

TEST(Models, PreIsBeforeTheLastActivation) {
  for (const Model& m : AllModels()) {
    Built b(m.name, {2, 3, 32, 32}, {}, /*train=*/true);
    const std::string family = m.family;
    EXPECT_EQ(b.f.taps[0].pre.id(), b.f.taps[0].post.id()) << m.name;
    for (int i = 1; i <= m.stages; ++i) {
      const Node& post = b.g.producer(b.f.taps[i].post.id());
      const Node& pre = b.g.producer(b.f.taps[i].pre.id());
      if (family == "mobilenet_v2") {  // linear bottlenecks
        EXPECT_EQ(b.f.taps[i].pre.id(), b.f.taps[i].post.id()) << m.name;
      } else if (family == "shufflenet_v2") {  // not shuffled; of its two halves the first is rectified
        ASSERT_EQ(pre.op, Op::kConcat) << m.name;
        EXPECT_EQ(post.op, Op::kReshape) << m.name;
        EXPECT_EQ(b.g.producer(pre.in[1]).op, Op::kBatchNorm) << m.name;
      } else if (family == "wrn") {  // raw sums, and the next norm of them
        EXPECT_EQ(post.op, Op::kAdd) << m.name;
        EXPECT_EQ(pre.op, Op::kBatchNorm) << m.name;
        EXPECT_EQ(pre.in[0], b.f.taps[i].post.id()) << m.name;
      } else {
        EXPECT_EQ(post.op, Op::kRelu) << m.name;
        EXPECT_EQ(post.in[0], b.f.taps[i].pre.id()) << m.name;
      }
    }
    EXPECT_EQ(b.g.producer(b.f.map.id()).op, Op::kRelu) << m.name;
  }
}

TEST(Models, RunningStatisticsAreAssignedOnce) {
  for (const char* name :
       {"resnet8x4", "wrn_16_2", "vgg8", "resnet50_cifar", "mobilenet_v2_x0_5", "shufflenet_v1", "shufflenet_v2"}) {
    Built b(name, {2, 3, 32, 32}, {}, /*train=*/true);
    size_t buffers = b.variables.all().size() - b.variables.parameters().size();
    EXPECT_EQ(b.g.assigns().size(), buffers) << name;
    size_t norms = 0;
    for (NodeId n = 0; n < b.g.node_count(); ++n) norms += b.g.node(n).op == Op::kBatchNorm;
    EXPECT_EQ(norms * 3, buffers) << name;  // no norm is computed twice
    EXPECT_TRUE(Built(name, {2, 3, 32, 32}).g.assigns().empty()) << name;
  }
}

// ---- Tails -------------------------------------------------------------------------------------------------

TEST(Models, TailHasTheNetworksOwnNamesAndCost) {
  for (const char* name : {"resnet8x4", "resnet20", "wrn_16_1", "wrn_16_2", "vgg8", "vgg13", "resnet18_cifar",
                           "resnet50_cifar", "mobilenet_v2_x0_5", "shufflenet_v1", "shufflenet_v2"}) {
    SCOPED_TRACE(name);
    const Model* m = FindModel(name);
    Built full(name, {2, 3, 32, 32});
    int64_t previous = CostOf(full.g, 2).parameters;
    for (int k = 1; k <= m->stages; ++k) {
      Built tail(name, full.f.taps[k].post.shape(), {.first_stage = k});
      ASSERT_EQ(tail.g.error(), "");
      for (const VariableRef& v : tail.variables.all()) {
        ASSERT_NE(full.variables.Find(v->name), nullptr) << v->name;
        EXPECT_EQ(full.variables.Find(v->name)->shape, v->shape) << v->name;
      }
      ASSERT_EQ(static_cast<int>(tail.f.taps.size()), m->stages - k + 1);
      for (int i = k; i <= m->stages; ++i) EXPECT_EQ(tail.f.taps[i - k].post.shape(), full.f.taps[i].post.shape()) << i;
      EXPECT_EQ(tail.f.logits.shape(), full.f.logits.shape());
      const int64_t parameters = CostOf(tail.g, 2).parameters;
      EXPECT_LT(parameters, previous);
      previous = parameters;
    }
  }
}

TEST(Models, TailOnTheNetworksOwnTapIsTheNetwork) {
  // With shared weights every node of the tail exists already, so the graph gives back the same values.
  for (const Model& m : AllModels()) {
    Built b(m.name, {2, 3, 32, 32});
    const size_t nodes = b.g.node_count(), variables = b.variables.all().size();
    Layers l(&b.g, &b.variables, {});
    for (int k = 1; k <= m.stages; ++k) {
      Features tail = m.Build(l, b.f.taps[k].post, {.first_stage = k});
      EXPECT_EQ(tail.logits.id(), b.f.logits.id()) << m.name << " " << k;
      EXPECT_EQ(tail.map.id(), b.f.map.id()) << m.name << " " << k;
    }
    EXPECT_EQ(b.g.node_count(), nodes) << m.name;
    EXPECT_EQ(b.variables.all().size(), variables) << m.name;
  }
}

// ---- Other inputs and mistakes -----------------------------------------------------------------------------

TEST(Models, OtherImageSizes) {
  Built big("vgg8", {1, 3, 64, 64}), odd("resnet8", {1, 1, 28, 28}), wide("wrn_16_1", {2, 3, 24, 40});
  EXPECT_EQ(big.f.taps[3].post.shape(), (Shape{1, 512, 8, 8}));
  EXPECT_EQ(big.f.map.shape(), (Shape{1, 512, 4, 4}));  // group 3 is pooled from 64 pixels on
  EXPECT_EQ(odd.f.map.shape(), (Shape{1, 64, 7, 7}));
  EXPECT_EQ(wide.f.map.shape(), (Shape{2, 64, 6, 10}));
  EXPECT_TRUE(big.g.ok() && odd.g.ok() && wide.g.ok());
}

TEST(Models, MistakesLeaveASentence) {
  auto error = [](const char* name, const Shape& s, const BuildOptions& o) { return Built(name, s, o).g.error(); };
  EXPECT_EQ(error("resnet8", {3, 32, 32}, {}), "resnet8: the input must have shape [n,c,h,w], got [3,32,32]");
  EXPECT_EQ(error("vgg8", {1, 3, 4, 8}, {}),
            "vgg8: the images are too small, 8x8 is the least: group 3 would get [1,256,1,2]");
  EXPECT_EQ(error("wrn_16_2", {1, 3, 32, 32}, {.classes = 0}), "wrn_16_2: needs at least one class, got 0");
  EXPECT_EQ(error("vgg8", {1, 3, 32, 32}, {.first_stage = 5}), "vgg8: has stages 1 to 4, none behind stage 5");
  EXPECT_EQ(Built("resnet8", {1, 3, 4, 4}, {}, /*train=*/true).g.error(),
            "layer3.0.bn1: batch norm in training needs more than one value per channel, got [1,64,1,1]");
  EXPECT_EQ(FindModel("resnet9"), nullptr);
}

}  // namespace
}  // namespace distil
