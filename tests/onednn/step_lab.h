// Devices, networks and trainers for tests of whole networks: the same numbers on every device.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/train/trainer.h"
#include "tests/golden/fill.h"
#include "tests/ops/harness.h"

namespace distil {

#define ASSERT_OK(expr)                                      \
  do {                                                       \
    const ::distil::Status ok_ = (expr);                     \
    ASSERT_TRUE(ok_.ok()) << #expr << ": " << ok_.message(); \
  } while (0)

inline std::shared_ptr<Device> Reference() {
  static const auto device = [] {
    auto d = std::make_shared<Device>();
    d->backend = MakeReferenceBackend({}, DType::kF64);
    return d;
  }();
  return device;
}

inline std::shared_ptr<Device> Cpu(int threads = 2, HostOptions options = {}) {
  auto d = std::make_shared<Device>();
  options.threads = threads;
  d->backend = MakeOneDnnBackend(options);
  return d;
}

// A network with the same numbers on every device: plausible ones, running statistics included.
inline std::shared_ptr<Network> MakeNetwork(const std::shared_ptr<Device>& device, const std::string& name,
                                            int64_t size) {
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

inline double Norm(const std::vector<double>& v) {
  double s = 0;
  for (double x : v) s += x * x;
  return std::sqrt(s);
}

}  // namespace distil
