// safetensors: files of PyTorch, hostile files, and what we write ourselves.
#include "lib/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "lib/io/file.h"
#include "lib/train/inference.h"
#include "tests/golden/golden.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

using golden::Json;

std::vector<uint8_t> Bytes(const std::string& path) {
  std::vector<uint8_t> bytes;
  EXPECT_OK(ReadFile(path, &bytes));
  return bytes;
}

TensorToWrite Floats(const std::string& name, std::vector<int64_t> shape, const std::vector<float>& values) {
  std::vector<uint8_t> data(values.size() * 4);
  if (!data.empty()) std::memcpy(data.data(), values.data(), data.size());
  return {name, "F32", std::move(shape), std::move(data)};
}

TEST(Safetensors, RoundTrip) {
  const std::vector<TensorToWrite> tensors = {Floats("a\"\xc3\xa9.weight", {2, 2}, {1, -2.5f, NAN, 4}),
                                              Floats("none", {0, 3}, {}), Floats("one", {}, {7})};
  const std::string path = TempPath("round.safetensors");
  ASSERT_OK(WriteSafetensors(path, SafetensorsHeader({{"format", "pt"}, {"note", "x\ny"}}, tensors), tensors));
  const std::vector<uint8_t> bytes = Bytes(path);
  Safetensors file;
  ASSERT_OK(ParseSafetensors(bytes.data(), bytes.size(), &file));
  EXPECT_EQ(file.metadata["note"], "x\ny");
  EXPECT_EQ(file.header.size() % 8, 0u);
  for (const TensorToWrite& t : tensors) {
    const TensorView* v = file.Find(t.name);
    ASSERT_TRUE(v) << t.name;
    EXPECT_EQ(v->shape, t.shape);
    EXPECT_TRUE(std::equal(v->data.begin(), v->data.end(), t.data.begin(), t.data.end()));
  }
}

TEST(Safetensors, NumberTypes) {
  double v[2];
  const std::vector<uint8_t> half = {0x00, 0x3c, 0x01, 0x80}, bf16 = {0x80, 0x3f, 0x20, 0xc1}, i8 = {0xff, 0x7f};
  ASSERT_OK(ReadNumbers(TensorView{"t", "F16", {2}, half}, std::span<double>(v)));
  EXPECT_EQ(v[0], 1);
  EXPECT_EQ(v[1], -std::ldexp(1, -24));  // the smallest subnormal
  ASSERT_OK(ReadNumbers(TensorView{"t", "BF16", {2}, bf16}, std::span<double>(v)));
  EXPECT_EQ(v[0], 1);
  EXPECT_EQ(v[1], -10);
  ASSERT_OK(ReadNumbers(TensorView{"t", "I8", {2}, i8}, std::span<double>(v)));
  EXPECT_EQ(v[0], -1);
  EXPECT_EQ(v[1], 127);
  const std::vector<uint8_t> special = {0x00, 0x7c, 0x00, 0x7e};
  ASSERT_OK(ReadNumbers(TensorView{"t", "F16", {2}, special}, std::span<double>(v)));
  EXPECT_TRUE(std::isinf(v[0]));
  EXPECT_TRUE(std::isnan(v[1]));
  const std::vector<uint8_t> large(16);
  ExpectError(ReadNumbers(TensorView{"t", "U64", {2}, large}, std::span<double>(v)), Code::kUnsupported,
              "numbers of type U64");
}

TEST(Safetensors, Corpus) {
  const Json golden = Json::Load("safetensors.json");
  const std::string folder = golden["corpus"].string() + "/";
  for (const Json& name : golden["valid"].array()) {
    const std::vector<uint8_t> bytes = Bytes(folder + name.string());
    Safetensors file;
    EXPECT_OK(ParseSafetensors(bytes.data(), bytes.size(), &file));
  }
  for (const auto& [name, why] : golden["refused"].object()) {
    const std::vector<uint8_t> bytes = Bytes(folder + name);
    Safetensors file;
    const Status s = ParseSafetensors(bytes.data(), bytes.size(), &file);
    EXPECT_EQ(static_cast<int>(s.code()), static_cast<int>(Code::kCorrupt)) << name << " (" << why.string() << ")";
    EXPECT_GT(s.message().size(), 10u) << name;
  }
}

// A teacher trained elsewhere: a file of PyTorch loads, and its logits are PyTorch's.
TEST(Safetensors, PyTorchsNetwork) {
  const Json golden = Json::Load("safetensors.json");
  const std::string path = "tests/golden/" + golden["file"].string();
  for (const char* name : {"cpu", "reference:f64"}) {
    const auto device = MakeDevice(name);
    std::shared_ptr<Network> network;
    ASSERT_OK(
        Network::CreateFromZoo(device, golden["net"].string(), golden["classes"].integer(), nullptr, 1, &network));
    ASSERT_OK(LoadNetwork(network.get(), path));
    for (const auto& [tensor, want] : golden["tensors"].object()) {
      const auto values = Numbers(*network, network->variables()->Find(tensor));
      EXPECT_NEAR(values[0], want["first"].number(), 1e-7 * std::abs(values[0])) << tensor;
      EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0), want["sum"].number(), 1e-3) << tensor;
    }
    const std::vector<float> images = golden::InputOf(golden["input"]);
    std::unique_ptr<Inference> inference;
    ASSERT_OK(Inference::Create(network, 2, {}, &inference));
    ASSERT_OK(inference->Run({2, false, images.data(), nullptr, nullptr}));
    std::vector<float> logits(20);
    ASSERT_OK(inference->Output("logits", logits));
    for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(logits[i], golden["logits"][i / 10][i % 10].number(), 1e-4) << i;

    // And back: what we write holds the same tensors.
    const std::string again = TempPath("again.safetensors");
    ASSERT_OK(SaveNetwork(*network, again));
    const auto bytes = Bytes(again), theirs = Bytes(path);
    Safetensors a, b;
    ASSERT_OK(ParseSafetensors(bytes.data(), bytes.size(), &a));
    ASSERT_OK(ParseSafetensors(theirs.data(), theirs.size(), &b));
    ASSERT_EQ(a.tensors.size(), b.tensors.size());
    for (const TensorView& t : b.tensors) {
      const TensorView* ours = a.Find(t.name);
      ASSERT_TRUE(ours) << t.name;
      EXPECT_EQ(ours->shape, t.shape);
      if (std::string(name) != "cpu") continue;
      EXPECT_EQ(ours->dtype, t.dtype);
      EXPECT_TRUE(std::equal(t.data.begin(), t.data.end(), ours->data.begin(), ours->data.end())) << t.name;
    }
  }
}

TEST(Safetensors, NetworksRefuseWhatDoesNotFit) {
  const auto device = MakeDevice("reference");
  const auto tiny = TinyNetwork(device, 1), wide = TinyNetwork(device, 1, 6);
  const std::string path = TempPath("tiny.safetensors"), before = DigestOf(*wide);
  ASSERT_OK(SaveNetwork(*tiny, path));
  ExpectError(
      LoadNetwork(wide.get(), path), Code::kInvalidArgument,
      "cannot load " + path + " into tiny: tensor 'conv1.weight' has shape [4,3,3,3], the network needs [6,3,3,3]");
  std::shared_ptr<Network> other;
  ASSERT_OK(Network::CreateFromZoo(device, "vgg8", 5, nullptr, 1, &other));
  ExpectError(LoadNetwork(other.get(), path), Code::kInvalidArgument,
              "it has no tensor 'block0.0.weight'; the nearest is");
  EXPECT_EQ(DigestOf(*wide), before);
}

// Tensors of training modules beside the network's, as some checkpoints have them, are passed over with a warning.
TEST(Safetensors, OtherTensorsAreIgnoredWithAWarning) {
  const auto device = MakeDevice("reference");
  const auto a = TinyNetwork(device, 1), b = TinyNetwork(device, 2);
  std::vector<TensorToWrite> tensors;
  ASSERT_OK(ToTensors(device->backend.get(), NamedVariables(*a, ""), &tensors));
  tensors.push_back(Floats("decoder.weight", {1}, {3}));
  const std::string path = TempPath("more.safetensors");
  ASSERT_OK(WriteSafetensors(path, SafetensorsHeader({}, tensors), tensors));
  std::string warning;
  device->log = [&](Device::Level, const std::string& m) { warning = m; };
  ASSERT_OK(LoadNetwork(b.get(), path));
  EXPECT_EQ(DigestOf(*a), DigestOf(*b));
  EXPECT_NE(warning.find("1 tensors that tiny does not have"), std::string::npos) << warning;
}

}  // namespace
}  // namespace distil
