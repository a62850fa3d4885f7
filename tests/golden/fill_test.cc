// fill.h gives the bits that fill.py gives, and golden.h reads what the scripts wrote.
#include "tests/golden/fill.h"

#include <gtest/gtest.h>

#include <bit>

#include "tests/golden/golden.h"

namespace distil::golden {
namespace {

struct Expected {
  const char* name;
  std::vector<int64_t> dims;
  uint32_t first, second, last;
};

// Printed by fill.py.
const Expected kExpected[] = {
    {"input", {2, 3, 32, 32}, 0x3fa2b704, 0x3fd1b758, 0x3f857106},
    {"conv1.weight", {16, 3, 3, 3}, 0x3e747c1d, 0xbeabe56a, 0xbd94782b},
    {"layer1.0.bn2.weight", {16}, 0x3e92bbd4, 0x3e808554, 0x3e541816},
    {"teacher/bn1.weight", {16}, 0x3f7d722f, 0x3f938070, 0x3f92159e},
    {"bn1.running_var", {8}, 0x3f417ed8, 0x3f4bdfaa, 0x3f8af74a},
    {"bn1.running_mean", {8}, 0xbd98a946, 0xbca16004, 0xbd9a8ff4},
    {"fc.bias", {10}, 0x3b1d0c20, 0xbc693e14, 0x3d470cce},
};

TEST(Fill, BitsOfPython) {
  for (const Expected& e : kExpected) {
    std::vector<float> x = FillTensor(e.name, e.dims);
    EXPECT_EQ(std::bit_cast<uint32_t>(x[0]), e.first) << e.name;
    EXPECT_EQ(std::bit_cast<uint32_t>(x[1]), e.second) << e.name;
    EXPECT_EQ(std::bit_cast<uint32_t>(x.back()), e.last) << e.name;
  }
  EXPECT_EQ(FillLabels("label", 8, 100), (std::vector<int32_t>{88, 9, 1, 3, 77, 31, 32, 69}));
}

TEST(Golden, ReadsModels) {
  Json file = Json::Load("models.json");
  EXPECT_EQ(file["nets"].size(), 24u);
  EXPECT_EQ(file["nets"]["resnet8x4"]["params"].integer(), 1233540);
  EXPECT_EQ(file["nets"]["vgg19"]["eval"]["logits0"].numbers().size(), 100u);
}

TEST(Golden, ReadsMethods) {
  // Cross-entropy of case "ce" again, from the file's own inputs.
  Json file = Json::Load("methods.json");
  const Json& c = file["cases"][0];
  ASSERT_EQ(c["name"].string(), "ce");
  std::vector<float> z = InputOf(c["inputs"]["z_s"]);
  std::vector<int64_t> dims = DimsOf(c["inputs"]["z_s"]), y = c["labels"].numbers<int64_t>();
  double loss = 0;
  for (int64_t b = 0; b < dims[0]; ++b) {
    double sum = 0;
    for (int64_t k = 0; k < dims[1]; ++k) sum += std::exp(static_cast<double>(z[b * dims[1] + k]));
    loss += (std::log(sum) - z[b * dims[1] + y[b]]) / static_cast<double>(dims[0]);
  }
  EXPECT_NEAR(loss, c["loss"].number(), 1e-9);
}

TEST(Golden, ReadsEveryFile) {
  Json steps = Json::Load("trajectory.json"), ops = Json::Load("ops.json");
  Json optim = Json::Load("optim.json"), safetensors = Json::Load("safetensors.json");
  for (const Json& run : steps["runs"].array()) {
    EXPECT_EQ(run["f64"]["total"].size(), static_cast<size_t>(run["steps"].integer())) << run["name"].string();
    EXPECT_LT(run["f32_error"].number(), 2e-5) << run["name"].string();
  }
  for (const Json& c : ops["cases"].array()) {
    for (const auto& [name, input] : c["inputs"].object()) {
      int64_t n = 1;
      for (int64_t d : DimsOf(input)) n *= d;
      EXPECT_EQ(InputOf(input).size(), static_cast<size_t>(n)) << c["name"].string() << " " << name;
    }
  }
  EXPECT_GT(optim["schedules"].size(), 0u);
  EXPECT_EQ(safetensors["logits"][1].numbers().size(), 10u);
}

TEST(Golden, SgdByHand) {
  // m = mu m + g + wd p;  p -= lr m: optim.json's case "sgd_decay" from its own description.
  const Json file = Json::Load("optim.json");
  for (const Json& c : file["optimizers"].array()) {
    if (c["name"].string() != "sgd_decay") continue;
    std::vector<float> start = InputOf(c["parameters"]["bias"]);
    std::vector<double> p(start.begin(), start.end()), m(p.size());
    const Json& gradient = c["gradients"]["bias"];
    for (int k = 0; k < c["steps"].integer(); ++k) {
      std::vector<float> g = FillTensor(gradient["fill"].string() + "." + std::to_string(k), DimsOf(gradient),
                                        {gradient["offset"].number(), gradient["scale"].number()});
      std::vector<double> want = c["values"]["bias"][k].numbers();
      for (size_t i = 0; i < p.size(); ++i) {
        m[i] = c["momentum"].number() * m[i] + g[i] + c["weight_decay"].number() * p[i];
        p[i] -= c["lr"].number() * m[i];
        EXPECT_NEAR(p[i], want[i], 1e-9);
      }
    }
    return;
  }
  FAIL() << "no case sgd_decay";
}

}  // namespace
}  // namespace distil::golden
