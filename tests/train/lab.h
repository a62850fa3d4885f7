// Lab: devices, small networks and batches for tests of training.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/backend/cpu.h"
#include "lib/base/random.h"
#include "lib/train/trainer.h"

namespace distil {

// Why the GPU cannot be used here; "" when it can.
inline const std::string& WhyNoGpu() {
  // Kept, as opening it costs more than most tests, and never closed: at exit the driver goes first.
  static auto& open = *new std::unique_ptr<Backend>;
  static const Status status = MakeCudaBackend(0, {}, &open);
  return status.message();
}

// "cpu", "cuda:0", "reference" or "reference:f64".
inline std::shared_ptr<Device> MakeDevice(const std::string& name, HostOptions host = {}) {
  auto d = std::make_shared<Device>();
  d->name = name;
  if (name == "cuda:0") {
    const Status s = MakeCudaBackend(0, host, &d->backend);
    EXPECT_TRUE(s.ok()) << s.message();
    return d;
  }
  if (host.threads == 0) host.threads = 2;
  d->backend = name == "cpu" ? MakeCpuBackend(host)
                             : MakeReferenceBackend(host, name == "reference:f64" ? DType::kF64 : DType::kF32);
  return d;
}

#define ASSERT_OK(expr)                                      \
  do {                                                       \
    const ::distil::Status ok_ = (expr);                     \
    ASSERT_TRUE(ok_.ok()) << #expr << ": " << ok_.message(); \
  } while (0)
#define EXPECT_OK(expr)                                      \
  do {                                                       \
    const ::distil::Status ok_ = (expr);                     \
    EXPECT_TRUE(ok_.ok()) << #expr << ": " << ok_.message(); \
  } while (0)

// Fails with `code`, and the message has `text` in it.
inline void ExpectError(const Status& s, Code code, const std::string& text) {
  EXPECT_EQ(static_cast<int>(s.code()), static_cast<int>(code)) << s.message();
  EXPECT_NE(s.message().find(text), std::string::npos) << "message: " << s.message() << "\nwanted: " << text;
}

// Tests of one device, that of the parameter. On "cuda:0" they skip, with the reason, where there is no GPU.
class OnDevice : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "cuda:0" && !WhyNoGpu().empty()) GTEST_SKIP() << WhyNoGpu();
  }
};
inline const auto kDevices = testing::Values("cpu", "cuda:0", "reference", "reference:f64");
inline std::string DeviceName(const testing::TestParamInfo<std::string>& info) {
  return info.param == "reference:f64" ? "f64" : info.param == "cuda:0" ? "cuda" : info.param;
}

// Two convolutions with batch norm on [3,8,8], five classes; with dropout where that is asked for.
inline std::shared_ptr<Network> TinyNetwork(const std::shared_ptr<Device>& device, uint64_t seed, int64_t width = 4,
                                            double dropout = 0) {
  Network::Spec spec;
  spec.name = "tiny";
  spec.input[0] = 3, spec.input[1] = spec.input[2] = 8;
  spec.seed = seed;
  spec.body = [width, dropout](Layers& l, Expr x) {
    Features f;
    for (int i = 1; i <= 2; ++i) {
      const std::string n = std::to_string(i);
      ConvOptions o;
      o.stride = i;
      Expr pre = l.BatchNorm("bn" + n, l.Conv("conv" + n, x, width * i, 3, o));
      x = Relu(pre);
      f.taps.push_back({pre, x});
    }
    f.map = x;
    f.pooled = l.Dropout(GlobalAvgPool(x), dropout);
    f.logits = l.Linear("fc", f.pooled, 5);
    return f;
  };
  std::shared_ptr<Network> n;
  const Status s = Network::Create(device, std::move(spec), &n);
  EXPECT_TRUE(s.ok()) << s.message();
  return n;
}

// Images, labels and ids of a batch; a batch is a view of them.
struct Samples {
  std::vector<float> real;
  std::vector<uint8_t> bytes;
  std::vector<int32_t> labels;
  std::vector<uint32_t> ids;

  // Batch `k` of a made-up data set for TinyNetwork.
  explicit Samples(uint32_t k, int64_t count = 6, int64_t pixels = 3 * 8 * 8) {
    for (int64_t i = 0; i < count; ++i) {
      const auto id = k * 100 + static_cast<uint32_t>(i);
      ids.push_back(id);
      labels.push_back(static_cast<int32_t>(ToRange(RandomWords(5, Purpose::kTest, id, 1, 0)[0], 5)));
      for (int64_t p = 0; p < pixels; ++p) {
        const uint32_t w = RandomWords(5, Purpose::kTest, id, 0, static_cast<uint32_t>(p))[0];
        real.push_back(2 * ToUnit(w) - 1 + 0.3f * static_cast<float>(labels.back()));
        bytes.push_back(static_cast<uint8_t>(w >> 24));
      }
    }
  }
  Batch Floats() const { return {static_cast<int64_t>(ids.size()), false, real.data(), labels.data(), ids.data()}; }
  Batch Bytes() const { return {static_cast<int64_t>(ids.size()), true, bytes.data(), labels.data(), ids.data()}; }
};

inline std::vector<double> Numbers(const Network& n, const VariableRef& v) {
  std::vector<double> values(static_cast<size_t>(v->shape.elements()));
  EXPECT_OK(ReadVariable(n.device()->backend.get(), *v, std::span<double>(values)));
  return values;
}

inline std::string DigestOf(const Network& n) {
  std::string hex;
  EXPECT_OK(NetworkDigest(n, &hex));
  return hex;
}

// Of the last step.
inline Terms TermsOf(Trainer& t) {
  const Terms* terms = nullptr;
  EXPECT_OK(t.ReadTerms(&terms));
  return terms ? *terms : Terms();
}

inline TextOptions Text(const std::string& text) {
  TextOptions o;
  EXPECT_OK(SplitOptions(text, &o));
  return o;
}

// A file name in the test's own folder.
inline std::string TempPath(const std::string& name) { return testing::TempDir() + "/" + name; }

}  // namespace distil
