// Opening a device, and captured programs, on a runtime that stands for a GPU (fake_cuda.h).
#include "lib/backend/cuda/launch_graph.h"

#include <gtest/gtest.h>

#include <cstring>

#include "lib/backend/cuda/kernel.h"
#include "tests/cuda/fake_cuda.h"
#include "tests/runtime/random_graph.h"

namespace distil::cuda {
namespace {

using fake::machine;

class FakeDevice : public testing::Test {
 protected:
  void SetUp() override { fake::SetUp(); }
};

// ---- Opening --------------------------------------------------------------------------------------------------------

void ExpectNot(int index, Code code, const std::vector<std::string>& words) {
  std::shared_ptr<Context> context;
  const Status s = Context::Open(index, &context);
  EXPECT_EQ(s.code(), code);
  EXPECT_EQ(context, nullptr);
  for (const std::string& w : words) EXPECT_NE(s.message().find(w), std::string::npos) << s.message();
}

TEST_F(FakeDevice, OpeningSaysWhatIsMissing) {
  machine.driver = 0;
  ExpectNot(0, Code::kUnsupported, {"no NVIDIA driver"});
  machine.driver = 11080;
  const int runtime = CUDART_VERSION;
  ExpectNot(0, Code::kUnsupported, {"too old", "CUDA 11.8", "CUDA " + std::to_string(runtime / 1000) + "."});
  machine = {};
  machine.devices = 0;
  ExpectNot(0, Code::kUnsupported, {"sees no device"});
  machine.devices = 2;
  ExpectNot(2, Code::kNotFound, {"no device cuda:2", "cuda:0 to cuda:1"});
  machine.devices = 1;
  ExpectNot(1, Code::kNotFound, {"no device cuda:1", "one, cuda:0"});
  machine.major = 7, machine.minor = 5;
  ExpectNot(0, Code::kUnsupported, {"Fake", "7.5", "8.0"});
}

TEST_F(FakeDevice, BackendsOfADeviceShareItsContext) {
  std::shared_ptr<Context> a, b;
  ASSERT_TRUE(Context::Open(0, &a).ok());
  ASSERT_TRUE(Context::Open(0, &b).ok());
  EXPECT_EQ(a, b);
  EXPECT_EQ(a->info().name, "Fake");
}

TEST_F(FakeDevice, TransfersOfAnySize) {
  std::shared_ptr<Context> context;
  ASSERT_TRUE(Context::Open(0, &context).ok());
  for (size_t n : {size_t{0}, size_t{1}, size_t{1} << 20, (size_t{1} << 20) + 1, (size_t{19} << 20) + 7}) {
    std::vector<uint8_t> from(n), device(n), to(n);
    for (size_t i = 0; i < n; ++i) from[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
    ASSERT_TRUE(context->transfer().Upload(device.data(), from.data(), n).ok());
    EXPECT_EQ(device, from);
    ASSERT_TRUE(context->transfer().Download(to.data(), device.data(), n).ok());
    EXPECT_EQ(to, from);
  }
}

// ---- Captured programs ----------------------------------------------------------------------------------------------

// A kernel of the reference, put into a stream. Those without a workspace may be batched with others that have as many
// operands: a table's row is the kernel and its addresses.
class Queued : public CudaKernel, public Batchable {
 public:
  Queued(std::unique_ptr<Kernel> kernel, size_t in, size_t out)
      : kernel_(std::move(kernel)), in_(in), out_(out), key_(std::to_string(in) + " to " + std::to_string(out)) {}
  const Batchable* batch() const override { return kernel_->workspace() ? nullptr : this; }
  std::string_view key() const override { return key_; }
  Status LoadMany() const override { return {}; }
  void AddTo(const KernelArgs& args, BatchTable* table) const override {
    std::vector<uint64_t> row = {reinterpret_cast<uint64_t>(kernel_.get())};
    for (size_t i = 0; i < in_; ++i) row.push_back(reinterpret_cast<uint64_t>(args.in[i]));
    for (size_t o = 0; o < out_; ++o) row.push_back(reinterpret_cast<uint64_t>(args.out[o]));
    table->Add(row, 1 + static_cast<int64_t>(in_));  // pieces beyond the first do nothing
  }
  Status EnqueueMany(const uint64_t* rows, const uint32_t* blocks, int64_t count, cudaStream_t stream) const override {
    ++batches;
    fake::Enqueue(stream, [=, this] {
      for (int64_t b = 0; b < count; ++b) {
        if (blocks[2 * b + 1]) continue;
        const uint64_t* row = rows + blocks[2 * b] * (1 + in_ + out_);
        std::vector<const void*> in;
        std::vector<void*> out;
        for (size_t i = 0; i < in_; ++i) in.push_back(reinterpret_cast<const void*>(row[1 + i]));
        for (size_t o = 0; o < out_; ++o) out.push_back(reinterpret_cast<void*>(row[1 + in_ + o]));
        reinterpret_cast<Kernel*>(row[0])->Run({in.data(), out.data(), nullptr});
      }
    });
    return {};
  }
  static inline int batches = 0;
  size_t workspace() const override { return kernel_->workspace(); }
  bool MayAlias(int in, int out) const override { return kernel_->MayAlias(in, out); }
  int PreferAlias(int out) const override { return kernel_->PreferAlias(out); }
  Status Enqueue(const KernelArgs& args, cudaStream_t stream) override {
    // The addresses are the launch's, as they are for a kernel's parameters: copied.
    std::vector<const void*> in(args.in, args.in + in_);
    std::vector<void*> out(args.out, args.out + out_);
    fake::Enqueue(stream, [this, in, out, workspace = args.workspace] {
      kernel_->Run({in.data(), out.data(), workspace});
    });
    return {};
  }

 private:
  std::unique_ptr<Kernel> kernel_;
  size_t in_, out_;  // operands
  std::string key_;
};

// The reference's kernels through captured graphs.
class Captured : public Backend {
 public:
  Captured() { EXPECT_TRUE(Context::Open(0, &context_).ok()); }
  std::string_view name() const override { return "captured"; }
  std::string description() const override { return "captured"; }
  int reuse_distance() const override { return 8; }
  size_t alignment() const override { return 256; }
  Status Optimize(Graph* g, const CompileOptions& options) override { return b_->Optimize(g, options); }
  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) override {
    std::unique_ptr<Kernel> kernel;
    DISTIL_RETURN_IF_ERROR(b_->MakeKernel(g, n, &kernel));
    *out = std::make_unique<Queued>(std::move(kernel), g.node(n).in.size(), g.node(n).out.size());
    return {};
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override {
    return std::make_unique<Queued>(b_->MakeCopy(bytes), 1, 1);
  }
  size_t Bytes(const Graph& g, ValueId v) const override { return b_->Bytes(g, v); }
  Status Allocate(size_t bytes, Buffer* out) override { return b_->Allocate(bytes, out); }
  Status Upload(void* to, const void* from, size_t n) override { return b_->Upload(to, from, n); }
  Status Download(void* to, const void* from, size_t n) override { return b_->Download(to, from, n); }
  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>* cache) override {
    return LaunchGraph::Replay(context_.get(), launches, cache);
  }
  Context* context() { return context_.get(); }

 private:
  std::shared_ptr<Context> context_;
  std::unique_ptr<Backend> b_ = MakeReferenceBackend({}, DType::kF32);
};

std::vector<Fetches> Steps(Backend* backend, uint64_t seed) {
  RandomGraph r = MakeRandomGraph(seed, backend, false);
  std::vector<Fetches> steps;
  Compiled program(backend, r.graph);
  for (int step = 0; step < 4 && program.ok(); ++step) {
    Fetches all = program.Run(r.feeds);
    for (const VariableRef& v : r.variables) all[v->name] = ValuesOf(backend, v);
    steps.push_back(std::move(all));
  }
  return steps;
}

TEST_F(FakeDevice, AnyOrderThatTheEdgesAllowGivesTheSameBits) {
  Captured captured;
  const std::unique_ptr<Backend> plain = MakeReferenceBackend({}, DType::kF32);
  for (uint64_t seed : TestSeeds(60)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    machine.seed = static_cast<uint32_t>(seed) * 1000;
    const std::vector<Fetches> want = Steps(plain.get(), seed), got = Steps(&captured, seed);
    ASSERT_EQ(got.size(), want.size());
    for (size_t k = 0; k < want.size(); ++k) ExpectSameBits(got[k], want[k]);
    if (HasFailure()) return;
  }
  EXPECT_EQ(machine.graphs, 0);
  EXPECT_EQ(machine.executables, 0);
  EXPECT_GT(Queued::batches, 60);
}

class Add : public CudaKernel {  // out = in + 1; does nothing at all when told so
 public:
  explicit Add(bool empty = false, Status status = {}) : empty_(empty), status_(std::move(status)) {}
  Status Enqueue(const KernelArgs& args, cudaStream_t stream) override {
    if (!empty_)
      fake::Enqueue(
          stream, [in = static_cast<const int*>(args.in[0]), out = static_cast<int*>(args.out[0])] { *out = *in + 1; });
    return status_;
  }

 private:
  bool empty_;
  Status status_;
};

TEST_F(FakeDevice, CapturedOnceReplayedAndCapturedAgainForOtherAddresses) {
  Captured backend;
  Add add;
  int a = 0, b = 0, c = 0;
  const size_t n = sizeof a;
  std::vector<Launch> launches = {{&add, {&a}, {&b}, nullptr, {n}, {n}}, {&add, {&b}, {&c}, nullptr, {n}, {n}}};
  std::shared_ptr<void> cache;
  for (int run = 0; run < 20; ++run) {
    a = run;
    ASSERT_TRUE(backend.Execute(launches, &cache).ok());
    EXPECT_EQ(c, run + 2);
  }
  EXPECT_EQ(machine.captures, 2);
  int d = 0;
  launches[1].out[0] = &d;
  ASSERT_TRUE(backend.Execute(launches, &cache).ok());
  EXPECT_EQ(d, 21);
  EXPECT_EQ(machine.captures, 4);
  EXPECT_EQ(machine.executables, 1);
  EXPECT_TRUE(backend.Execute({}, &cache).ok());
}

TEST_F(FakeDevice, ALaunchThatEnqueuesNothingPassesItsWaitingOn) {
  Captured backend;
  Add add, nothing(true);
  int a = 0, b = 0, c = 0;
  const size_t n = sizeof a;
  // The second stands for a copy onto itself: the third must still wait for the first.
  const std::vector<Launch> launches = {{&add, {&a}, {&b}, nullptr, {n}, {n}},
                                        {&nothing, {&b}, {&b}, nullptr, {n}, {n}},
                                        {&add, {&b}, {&c}, nullptr, {n}, {n}}};
  std::shared_ptr<void> cache;
  for (int run = 0; run < 20; ++run) {
    a = run;
    ASSERT_TRUE(backend.Execute(launches, &cache).ok());
    EXPECT_EQ(c, run + 2);
  }
}

TEST_F(FakeDevice, AFailureWhileCapturingLeavesNothingBehind) {
  Captured backend;
  Add add, bad(false, Internal("no such luck"));
  int a = 0, b = 0;
  const size_t n = sizeof a;
  std::vector<Launch> launches = {{&add, {&a}, {&b}, nullptr, {n}, {n}}, {&bad, {&b}, {&a}, nullptr, {n}, {n}}};
  std::shared_ptr<void> cache;
  EXPECT_EQ(backend.Execute(launches, &cache).message(), "no such luck");
  EXPECT_FALSE(fake::IsCapturing(backend.context()->capture_stream()));
  EXPECT_EQ(machine.graphs, 0);
  EXPECT_EQ(machine.executables, 0);
  launches.pop_back();
  EXPECT_TRUE(backend.Execute(launches, &cache).ok());
  EXPECT_EQ(b, 1);
}

TEST_F(FakeDevice, ALostDeviceHasACodeOfItsOwn) {
  Captured backend;
  Add add;
  int a = 0, b = 0;
  const std::vector<Launch> launches = {{&add, {&a}, {&b}, nullptr, {sizeof a}, {sizeof b}}};
  std::shared_ptr<void> cache;
  machine.at_launch = cudaErrorIllegalAddress;
  const Status s = backend.Execute(launches, &cache);
  EXPECT_EQ(s.code(), Code::kDeviceLost);
  EXPECT_NE(s.message().find("last checkpoint"), std::string::npos) << s.message();
}

}  // namespace
}  // namespace distil::cuda
