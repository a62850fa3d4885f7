// The backends under test: all that this machine can open.
#include <gtest/gtest.h>

#include <limits>

#include "lib/backend/cpu.h"
#include "tests/ops/harness.h"

namespace distil {

namespace {

std::unique_ptr<Backend> ReferenceF32() { return MakeReferenceBackend({}, DType::kF32); }
std::unique_ptr<Backend> Cpu() {
  HostOptions options;
  options.threads = 2;
  return MakeCpuBackend(options);
}

// Kept open: opening it costs more than most tests.
struct OpenedCuda {
  std::unique_ptr<Backend> backend;
  Status status = MakeCudaBackend(0, {}, &backend);
};
const OpenedCuda& CudaOnce() {
  static const OpenedCuda opened;
  return opened;
}
std::unique_ptr<Backend> Cuda() {
  std::unique_ptr<Backend> backend;
  const Status s = MakeCudaBackend(0, {}, &backend);
  EXPECT_TRUE(s.ok()) << s.message();
  return backend;
}

}  // namespace

// Defined by libraries that bring further backends (tests/cuda/emulated.cc).
[[gnu::weak]] void AddTestBackends(std::vector<TestBackend>* all);

const std::string& WhyNoCuda() { return CudaOnce().status.message(); }

const std::vector<TestBackend>& TestBackends() {
  constexpr double f32 = std::numeric_limits<float>::epsilon(), bf16 = 1.0 / 128;
  static const std::vector<TestBackend> backends = [] {
    std::vector<TestBackend> all = {{"reference_f32", ReferenceF32, false, f32}};
    if (Cpu()->name() == "onednn") {  // in the small build it is the reference again
      all.push_back({"onednn", Cpu, false, f32});
      all.push_back({"onednn_bf16", Cpu, true, bf16});
    }
    if (CudaOnce().status.ok()) {
      all.push_back({"cuda", Cuda, false, f32});
      all.push_back({"cuda_bf16", Cuda, true, bf16});
    }
    if (AddTestBackends) AddTestBackends(&all);
    return all;
  }();
  return backends;
}

}  // namespace distil
