// Programs: inputs, outputs, variables, constants that follow variables, memory, and every misuse.
#include "lib/runtime/program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <new>

#include "lib/backend/cpu.h"
#include "lib/expr/nn.h"
#include "tests/ops/harness.h"

// Every C++ allocation of this program.
static size_t g_news = 0;
void* operator new(size_t n) {
  ++g_news;
  if (void* p = std::malloc(n ? n : 1)) return p;
  std::abort();
}
void* operator new(size_t n, const std::nothrow_t&) noexcept { return ++g_news, std::malloc(n ? n : 1); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace distil {
namespace {

using Numbers = std::vector<double>;

bool Contains(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }

class Programs : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { backend_ = TestBackends()[GetParam()].make(); }
  VariableRef Var(const std::string& name, const Shape& shape, const Numbers& values) {
    return MakeVariable(backend_.get(), name, shape, values);
  }
  Numbers ValuesOf(const VariableRef& v) { return distil::ValuesOf(backend_.get(), v); }
  void Set(const VariableRef& v, const Numbers& values) {
    const Status s = WriteVariable(backend_.get(), std::span<const double>(values), v.get());
    EXPECT_TRUE(s.ok()) << s.message();
  }

  std::unique_ptr<Backend> backend_;
  Graph g_;
};

// ---- Outputs -----------------------------------------------------------------------------------------------------

TEST_P(Programs, OneValueUnderManyNames) {
  Expr x = Input(&g_, "x", {2, 2}), y = x * 2.0;
  VariableRef v = Var("v", {2, 2}, {5, 6, 7, 8});
  g_.Output("x", x.id());
  g_.Output("x again", x.id());
  g_.Output("x flat", Reshape(x, {4}).id());
  g_.Output("y", y.id());
  g_.Output("y again", y.id());
  g_.Output("y flat", Reshape(y, {4}).id());
  g_.Output("v", g_.Read(v));
  g_.Output("constant", g_.Constant(3, 0));
  Compiled p(backend_.get(), g_);
  for (double k : {1.0, 10.0}) {
    const Numbers at = {k, 2 * k, 3 * k, 4 * k}, twice = {2 * k, 4 * k, 6 * k, 8 * k};
    const Fetches out = p.Run({{"x", {at}}});
    EXPECT_EQ(out.at("x"), at);
    EXPECT_EQ(out.at("x again"), at);
    EXPECT_EQ(out.at("x flat"), at);
    EXPECT_EQ(out.at("y"), twice);
    EXPECT_EQ(out.at("y again"), twice);
    EXPECT_EQ(out.at("y flat"), twice);
    EXPECT_EQ(out.at("v"), (Numbers{5, 6, 7, 8}));
    EXPECT_EQ(out.at("constant"), Numbers{3});
  }
}

TEST_P(Programs, InputsStayUntilSetAgain) {
  Expr x = Input(&g_, "x", {2}), y = Input(&g_, "y", {2});
  g_.Output("z", Relu(x * 2.0 + y).id());
  Compiled p(backend_.get(), g_);
  EXPECT_EQ(p.Run({{"x", {{1, 2}}}, {"y", {{1, 1}}}}).at("z"), (Numbers{3, 5}));
  EXPECT_EQ(p.Run({{"y", {{0, -9}}}}).at("z"), (Numbers{2, 0}));
  EXPECT_EQ(p.Run().at("z"), (Numbers{2, 0}));
}

TEST_P(Programs, IndexInputsAndOutputs) {
  Expr i = IndexInput(&g_, "i", {3});
  g_.Output("i", i.id());
  g_.Output("hot", OneHot(i, 2).id());
  Compiled p(backend_.get(), g_);
  const Fetches out = p.Run({{"i", {{1, 0, 16777217}, true}}});
  EXPECT_EQ(out.at("i"), (Numbers{1, 0, 16777217}));
  EXPECT_EQ(out.at("hot"), (Numbers{0, 1, 1, 0, 0, 0}));
}

TEST_P(Programs, NumbersConvert) {
  Expr x = Input(&g_, "x", {3000});  // several chunks
  g_.Output("y", (x * 2.0).id());
  std::unique_ptr<Program> p;
  ASSERT_TRUE(Program::Compile(backend_.get(), g_, {}, &p).ok());
  std::vector<float> f(3000), yf(3000);
  std::vector<double> d(3000), yd(3000);
  for (int i = 0; i < 3000; ++i) f[i] = static_cast<float>(i), d[i] = i;
  ASSERT_TRUE(p->SetInput("x", std::span<const float>(f)).ok());
  ASSERT_TRUE(p->Run().ok());
  ASSERT_TRUE(p->Fetch("y", std::span<double>(yd)).ok());
  ASSERT_TRUE(p->SetInput("x", std::span<const double>(d)).ok());
  ASSERT_TRUE(p->Run().ok());
  ASSERT_TRUE(p->Fetch("y", std::span<float>(yf)).ok());
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(yd[i], 2.0 * i);
    EXPECT_EQ(yf[i], 2.0f * i);
  }
}

// ---- Variables ---------------------------------------------------------------------------------------------------

TEST_P(Programs, ReadsSeeTheValueBeforeTheStep) {
  VariableRef v = Var("v", {2}, {1, 2});
  Expr old = Read(&g_, v), next = old * 2.0;
  g_.Assign(v, next.id());
  g_.Output("old", old.id());
  g_.Output("shifted", (old + 100.0).id());
  g_.Output("next", next.id());
  Compiled p(backend_.get(), g_);
  for (double k : {1.0, 2.0, 4.0}) {
    const Fetches out = p.Run();
    EXPECT_EQ(out.at("old"), (Numbers{k, 2 * k}));
    EXPECT_EQ(out.at("shifted"), (Numbers{100 + k, 100 + 2 * k}));
    EXPECT_EQ(out.at("next"), (Numbers{2 * k, 4 * k}));
    EXPECT_EQ(ValuesOf(v), (Numbers{2 * k, 4 * k}));
  }
}

TEST_P(Programs, VariablesChangePlaces) {
  VariableRef a = Var("a", {2}, {1, 2}), b = Var("b", {2}, {3, 4}), c = Var("c", {2}, {5, 6});
  g_.Assign(a, g_.Read(b));
  g_.Assign(b, g_.Read(c));
  g_.Assign(c, g_.Read(a));
  Compiled p(backend_.get(), g_);
  p.Run();
  EXPECT_EQ(ValuesOf(a), (Numbers{3, 4}));
  EXPECT_EQ(ValuesOf(b), (Numbers{5, 6}));
  EXPECT_EQ(ValuesOf(c), (Numbers{1, 2}));
  p.Run();
  EXPECT_EQ(ValuesOf(a), (Numbers{5, 6}));
}

TEST_P(Programs, SwapThroughArithmetic) {
  VariableRef a = Var("a", {2}, {1, 2}), b = Var("b", {2}, {3, 4});
  g_.Assign(a, (Read(&g_, b) * 2.0).id());
  g_.Assign(b, (Read(&g_, a) + Read(&g_, b)).id());
  Compiled p(backend_.get(), g_);
  p.Run();
  EXPECT_EQ(ValuesOf(a), (Numbers{6, 8}));
  EXPECT_EQ(ValuesOf(b), (Numbers{4, 6}));
}

TEST_P(Programs, NextValuesOfEveryKind) {
  const Numbers four = {1, 2, 3, 4};
  VariableRef same = Var("same", {2, 2}, four), constant = Var("constant", {2, 2}, four),
              input = Var("input", {2, 2}, four), turned = Var("turned", {2, 2}, four),
              square = Var("square", {2, 2}, four), shared = Var("shared", {2, 2}, four), row = Var("row", {4}, four),
              frozen = Var("frozen", {2, 2}, {9, 9, 9, 9});
  Expr x = Input(&g_, "x", {2, 2});
  g_.Assign(same, g_.Read(same));
  g_.Assign(constant, BroadcastTo(Constant(&g_, 7), {2, 2}).id());
  g_.Assign(input, x.id());
  g_.Assign(turned, Transpose(Read(&g_, turned)).id());
  g_.Assign(square, MatMul(Read(&g_, square), Read(&g_, square)).id());
  g_.Assign(shared, x.id());
  g_.Assign(row, Reshape(x, {4}).id());
  g_.Output("frozen", (Read(&g_, frozen) + 0.5).id());
  Compiled p(backend_.get(), g_);
  p.Run({{"x", {{5, 6, 7, 8}}}});
  EXPECT_EQ(ValuesOf(same), four);
  EXPECT_EQ(ValuesOf(constant), (Numbers{7, 7, 7, 7}));
  EXPECT_EQ(ValuesOf(input), (Numbers{5, 6, 7, 8}));
  EXPECT_EQ(ValuesOf(turned), (Numbers{1, 3, 2, 4}));
  EXPECT_EQ(ValuesOf(square), (Numbers{7, 10, 15, 22}));
  EXPECT_EQ(ValuesOf(shared), (Numbers{5, 6, 7, 8}));
  EXPECT_EQ(ValuesOf(row), (Numbers{5, 6, 7, 8}));
  EXPECT_EQ(ValuesOf(frozen), (Numbers{9, 9, 9, 9}));
}

TEST_P(Programs, OneValueForTwoVariables) {
  VariableRef a = Var("a", {2}, {1, 2}), b = Var("b", {2}, {3, 4});
  Expr next = Read(&g_, a) + Read(&g_, b);
  g_.Assign(a, next.id());
  g_.Assign(b, next.id());
  g_.Output("next", next.id());
  Compiled p(backend_.get(), g_);
  EXPECT_EQ(p.Run().at("next"), (Numbers{4, 6}));
  EXPECT_EQ(ValuesOf(a), (Numbers{4, 6}));
  EXPECT_EQ(ValuesOf(b), (Numbers{4, 6}));
}

TEST_P(Programs, LaterAssignmentWinsAndLatestChains) {
  VariableRef v = Var("v", {1}, {1});
  for (int i = 0; i < 3; ++i) g_.Assign(v, (Expr(&g_, g_.Latest(v)) * 2.0).id());
  Compiled p(backend_.get(), g_);
  p.Run();
  EXPECT_EQ(ValuesOf(v), Numbers{8});
}

TEST_P(Programs, ConstantsFollowVariables) {
  VariableRef w = Var("w", {3, 2}, {1, 2, 3, 4, 5, 6});
  Expr x = Input(&g_, "x", {1, 2});
  Expr scaled = Read(&g_, w) * 10.0;  // does not depend on the input: computed once
  g_.Output("y", MatMul(x, scaled, false, true).id());
  g_.Output("w", scaled.id());
  Compiled p(backend_.get(), g_);
  const Feeds feeds = {{"x", {{1, 1}}}};
  EXPECT_EQ(p.Run(feeds).at("y"), (Numbers{30, 70, 110}));
  EXPECT_EQ(p.Run(feeds).at("y"), (Numbers{30, 70, 110}));
  Set(w, {1, 1, 1, 1, 1, 1});
  EXPECT_EQ(p.Run(feeds).at("y"), (Numbers{20, 20, 20}));
  EXPECT_EQ(p.Fetch("w"), Numbers(6, 10));

  // Also when another program changes it.
  Graph other;
  other.Assign(w, (Read(&other, w) + 1.0).id());
  Compiled q(backend_.get(), other);
  q.Run();
  EXPECT_EQ(p.Run(feeds).at("y"), (Numbers{40, 40, 40}));
}

TEST_P(Programs, TwoProgramsShareVariables) {
  // One trains, the other evaluates, as the trainer does.
  VariableRef w = Var("w", {2, 2}, {1, 0, 0, 1});
  Expr x = Input(&g_, "x", {1, 2});
  Expr loss = SumAll(MatMul(x, Read(&g_, w)));
  g_.Assign(w, (Read(&g_, w) - Gradients(loss, std::vector<Expr>{Read(&g_, w)})[0]).id());
  Graph eval;
  eval.Output("y", MatMul(Input(&eval, "x", {1, 2}), Read(&eval, w)).id());
  Compiled train(backend_.get(), g_), test(backend_.get(), eval);
  const Feeds feeds = {{"x", {{1, 2}}}};
  EXPECT_EQ(test.Run(feeds).at("y"), (Numbers{1, 2}));
  train.Run(feeds);
  EXPECT_EQ(ValuesOf(w), (Numbers{0, -1, -2, -1}));
  EXPECT_EQ(test.Run(feeds).at("y"), (Numbers{-4, -3}));
}

TEST_P(Programs, InitialValuesAreOfTheName) {
  auto make = [&](const std::string& name, uint64_t seed, const Init& init) {
    Variable v;
    v.name = name;
    v.shape = {50, 50};
    EXPECT_TRUE(AllocateVariable(backend_.get(), seed, init, &v).ok());
    Numbers values(2500);
    EXPECT_TRUE(ReadVariable(backend_.get(), v, std::span<double>(values)).ok());
    return values;
  };
  const Numbers a = make("a", 1, Init::Uniform(0.5));
  EXPECT_EQ(a, make("a", 1, Init::Uniform(0.5)));
  EXPECT_NE(a, make("b", 1, Init::Uniform(0.5)));
  EXPECT_NE(a, make("a", 2, Init::Uniform(0.5)));
  double mean = 0, largest = 0;
  for (double v : a) mean += v / 2500, largest = std::max(largest, std::abs(v));
  EXPECT_NEAR(mean, 0, 4 * 0.5 / std::sqrt(3.0 * 2500));
  EXPECT_LE(largest, 0.5);
  EXPECT_GT(largest, 0.49);
  double variance = 0;
  for (double v : make("n", 1, Init::Normal(2))) variance += v * v / 2500;
  EXPECT_NEAR(variance, 4, 4 * 4 * std::sqrt(2.0 / 2500));
  EXPECT_EQ(make("c", 1, Init::Constant(1.5)), Numbers(2500, 1.5));
}

// ---- Memory ------------------------------------------------------------------------------------------------------

// A small network with a training step.
void BuildStep(Graph* g, const VariableRef& w, const VariableRef& m) {
  Expr x = Input(g, "x", {4, 3, 8, 8}), labels = IndexInput(g, "labels", {4});
  ConvAttrs a;
  a.pad[0] = a.pad[1] = 1;
  Expr y = Relu(Conv2d(x, Read(g, w), a));
  Expr loss = -MeanAll(PickLabel(LogSoftmax(GlobalAvgPool(y)), labels));
  Expr d = Gradients(loss, std::vector<Expr>{Read(g, w)})[0];
  Expr momentum = Read(g, m) * 0.9 + d;
  g->Assign(m, momentum.id());
  g->Assign(w, (Read(g, w) - 0.1 * momentum).id());
  g->Output("loss", loss.id());
}

struct Counter {
  size_t bytes = 0, calls = 0, limit = SIZE_MAX;
  std::map<void*, size_t> live;
  HostOptions Options() {
    HostOptions o;
    o.threads = 2;
    o.allocate = [this](size_t n) -> void* {
      if (bytes + n > limit) return nullptr;
      void* p = std::aligned_alloc(64, (n + 63) / 64 * 64);
      bytes += n, ++calls, live[p] = n;
      return p;
    };
    o.release = [this](void* p, size_t n) {
      EXPECT_EQ(live.at(p), n);
      bytes -= n, live.erase(p);
      std::free(p);
    };
    return o;
  }
};

std::unique_ptr<Backend> Counted(size_t which, Counter* c) {
  return which ? MakeCpuBackend(c->Options()) : MakeReferenceBackend(c->Options(), DType::kF32);
}

TEST(Memory, IsKnownBeforeAndCountedByTheAllocator) {
  for (size_t which : {0, 1}) {
    Counter counter;
    {
      const std::unique_ptr<Backend> backend = Counted(which, &counter);
      VariableRef w = MakeVariable(backend.get(), "w", {16, 3, 3, 3}, Numbers(432, 0.01));
      VariableRef m = MakeVariable(backend.get(), "m", {16, 3, 3, 3}, Numbers(432, 0));
      Graph g;
      BuildStep(&g, w, m);
      MemoryInfo planned;
      ASSERT_TRUE(Program::Plan(backend.get(), g, {}, &planned).ok());
      EXPECT_EQ(counter.bytes, 2 * 432 * sizeof(float));  // planning takes nothing
      std::unique_ptr<Program> p;
      ASSERT_TRUE(Program::Compile(backend.get(), g, {}, &p).ok());
      const MemoryInfo info = p->memory();
      EXPECT_EQ(info.total(), counter.bytes);
      EXPECT_EQ(planned.total(), info.total());
      EXPECT_EQ(info.variables, 2 * 432 * sizeof(float));
      EXPECT_GT(info.arena, 0u);
      EXPECT_GE(info.io, 4 * 3 * 8 * 8 * sizeof(float));

      const std::vector<float> x(4 * 3 * 8 * 8, 0.5f);
      const std::vector<int32_t> labels = {0, 1, 2, 3};
      ASSERT_TRUE(p->SetInput("x", std::span<const float>(x)).ok());
      ASSERT_TRUE(p->SetInput("labels", std::span<const int32_t>(labels)).ok());
      const size_t calls = counter.calls;
      ASSERT_TRUE(p->Run().ok());  // the first one computes constants
      const size_t before = g_news;
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(p->Run().ok());
      EXPECT_TRUE(which != 0 || g_news == before) << "a step of the reference allocates";
      EXPECT_EQ(counter.calls, calls) << "a step takes memory";
    }
    EXPECT_EQ(counter.bytes, 0u) << "memory is not given back";
  }
}

TEST(Memory, ArenaIsSharedByChains) {
  // Fifty steps one after the other need room for two, or for one in place.
  const std::unique_ptr<Backend> backend = MakeReferenceBackend({}, DType::kF32);
  Graph g;
  Expr x = Input(&g, "x", {256, 256});
  for (int i = 0; i < 50; ++i) x = Tanh(x * 1.01);
  g.Output("y", x.id());
  MemoryInfo info;
  ASSERT_TRUE(Program::Plan(backend.get(), g, {}, &info).ok());
  EXPECT_LE(info.arena, 2 * 256 * 256 * sizeof(float) + 4096);
}

TEST(Memory, RunningOutIsAnError) {
  for (size_t which : {0, 1}) {
    Counter counter;
    const std::unique_ptr<Backend> backend = Counted(which, &counter);
    Graph g;
    Expr x = Input(&g, "x", {1000, 1000});
    g.Output("y", Transpose(Tanh(Transpose(Tanh(x)))).id());
    for (size_t limit : {size_t{0}, size_t{5000000}, size_t{9000000}}) {
      counter.limit = limit;
      std::unique_ptr<Program> p;
      const Status s = Program::Compile(backend.get(), g, {}, &p);
      EXPECT_EQ(s.code(), Code::kOutOfMemory);
      EXPECT_TRUE(Contains(s.message(), "bytes")) << s.message();
      EXPECT_EQ(p, nullptr);
      EXPECT_EQ(counter.bytes, 0u);
    }
    Variable v;
    v.name = "v";
    v.shape = {1000, 1000, 1000};
    EXPECT_EQ(AllocateVariable(backend.get(), 0, Init::Constant(0), &v).code(), Code::kOutOfMemory);
  }
}

TEST(Memory, HugeGraphsAreRefusedByTheAllocatorNotByACrash) {
  for (size_t which : {0, 1}) {
    Counter counter;
    counter.limit = 1 << 20;
    const std::unique_ptr<Backend> backend = Counted(which, &counter);
    Graph g;
    Expr x = Input(&g, "x", {1 << 20, 1});
    g.Output("y", (x * Input(&g, "z", {1, 1 << 20})).id());
    MemoryInfo info;
    ASSERT_TRUE(Program::Plan(backend.get(), g, {}, &info).ok());
    EXPECT_GE(info.total(), size_t{1} << 42);
    std::unique_ptr<Program> p;
    EXPECT_EQ(Program::Compile(backend.get(), g, {}, &p).code(), Code::kOutOfMemory);
  }
}

TEST(HostMemory, AlignedAndZeroed) {
  for (size_t bytes : {1, 63, 64, 1000000}) {
    Buffer b;
    ASSERT_TRUE(AllocateHost({}, bytes, &b).ok());
    EXPECT_EQ(b.bytes, bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data) % 64, 0u);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<char*>(b.data)[i], 0);
  }
  Buffer none;
  ASSERT_TRUE(AllocateHost({}, 0, &none).ok());
  EXPECT_EQ(none.data, nullptr);
}

TEST(HostMemory, TheUsersAllocatorIsHonoured) {
  Counter counter;
  Buffer b;
  ASSERT_TRUE(AllocateHost(counter.Options(), 100, &b).ok());
  EXPECT_EQ(counter.bytes, 100u);
  b = Buffer();
  EXPECT_EQ(counter.bytes, 0u);

  counter.limit = 10;
  const Status full = AllocateHost(counter.Options(), 100, &b);
  EXPECT_EQ(full.code(), Code::kOutOfMemory);
  EXPECT_TRUE(Contains(full.message(), "100 bytes")) << full.message();

  HostOptions crooked;
  static char memory[512];
  int released = 0;
  crooked.allocate = [](size_t) { return memory + (65 - reinterpret_cast<uintptr_t>(memory) % 64); };
  crooked.release = [&](void*, size_t) { ++released; };
  const Status s = AllocateHost(crooked, 100, &b);
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_EQ(released, 1);
  EXPECT_EQ(b.data, nullptr);

  EXPECT_EQ(AllocateHost({}, SIZE_MAX, &b).code(), Code::kOutOfMemory);
  EXPECT_EQ(AllocateHost({}, SIZE_MAX / 2, &b).code(), Code::kOutOfMemory);
}

// A device whose memory the host does not touch, and which counts what it is sent.
class Remote : public Backend {
 public:
  int uploads = 0;
  std::string_view name() const override { return b_->name(); }
  std::string description() const override { return b_->description(); }
  bool host() const override { return false; }
  Status Optimize(Graph* g, const CompileOptions& options) override { return b_->Optimize(g, options); }
  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) override {
    return b_->MakeKernel(g, n, out);
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return b_->MakeCopy(bytes); }
  size_t Bytes(const Graph& g, ValueId v) const override { return b_->Bytes(g, v); }
  Status HasRoom(size_t bytes) override {
    return bytes < room ? Status() : Status(Code::kOutOfMemory, "no room for " + std::to_string(bytes));
  }
  Status Allocate(size_t bytes, Buffer* out) override {
    ++allocations;
    return b_->Allocate(bytes, out);
  }
  Status Upload(void* to, const void* from, size_t n) override {
    if (broken) return Status(Code::kDeviceLost, "gone");
    ++uploads;
    return b_->Upload(to, from, n);
  }
  Status Download(void* to, const void* from, size_t n) override {
    return broken ? Status(Code::kDeviceLost, "gone") : b_->Download(to, from, n);
  }
  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>* cache) override {
    return b_->Execute(launches, cache);
  }
  size_t room = SIZE_MAX;
  int allocations = 0;
  bool broken = false;

 private:
  std::unique_ptr<Backend> b_ = MakeReferenceBackend({}, DType::kF32);
};

TEST(RemoteDevice, SmallInputsAreSentWhenTheyChange) {
  Remote device;
  Graph g;
  g.Output("y", (Input(&g, "rate", {}) * Input(&g, "x", {1000})).id());
  std::unique_ptr<Program> p;
  ASSERT_TRUE(Program::Compile(&device, g, {}, &p).ok());
  EXPECT_EQ(p->InputData("x"), nullptr);
  const std::vector<float> x(1000, 2);
  std::vector<float> y(1000);
  auto step = [&](float rate) {
    EXPECT_TRUE(p->SetInput("rate", std::span<const float>(&rate, 1)).ok());
    EXPECT_TRUE(p->SetInput("x", std::span<const float>(x)).ok());
    EXPECT_TRUE(p->Run().ok() && p->Fetch("y", std::span<float>(y)).ok());
    EXPECT_EQ(y[999], 2 * rate);
  };
  step(1), step(1), step(3), step(1);
  EXPECT_EQ(device.uploads, 4 + 3);
  // Somebody else writes there now: nothing may be taken for known.
  ASSERT_NE(p->InputAddress("rate"), nullptr);
  step(1), step(1);
  EXPECT_EQ(device.uploads, 4 + 3 + 2 * 2);
}

TEST(RemoteDevice, AProgramThatHasNoRoomTakesNoMemory) {
  Remote device;
  Graph g;
  g.Output("y", (Input(&g, "x", {1000}) * 2.0).id());
  MemoryInfo planned;
  ASSERT_TRUE(Program::Plan(&device, g, {}, &planned).ok());
  device.room = planned.total();
  std::unique_ptr<Program> p;
  const Status s = Program::Compile(&device, g, {}, &p);
  EXPECT_EQ(s.code(), Code::kOutOfMemory);
  EXPECT_TRUE(Contains(s.message(), std::to_string(planned.total()))) << s.message();
  EXPECT_EQ(device.allocations, 0);
  device.room = planned.total() + 1;
  EXPECT_TRUE(Program::Compile(&device, g, {}, &p).ok());
}

TEST(RemoteDevice, ALostOneIsReported) {
  Remote device;
  Graph g;
  VariableRef v = MakeVariable(&device, "v", {2}, {1, 2});
  g.Output("y", (Read(&g, v) * Input(&g, "x", {})).id());
  std::unique_ptr<Program> p;
  ASSERT_TRUE(Program::Compile(&device, g, {}, &p).ok());
  device.broken = true;
  const float x = 1;
  std::vector<float> y(2);
  EXPECT_EQ(p->SetInput("x", std::span<const float>(&x, 1)).code(), Code::kDeviceLost);
  EXPECT_EQ(p->Fetch("y", std::span<float>(y)).code(), Code::kDeviceLost);
  EXPECT_EQ(ReadVariable(&device, *v, std::span<float>(y)).code(), Code::kDeviceLost);
  // An input that did not arrive is sent again.
  device.broken = false;
  EXPECT_TRUE(p->SetInput("x", std::span<const float>(&x, 1)).ok());
  EXPECT_TRUE(p->Run().ok() && p->Fetch("y", std::span<float>(y)).ok());
  EXPECT_EQ(y[1], 2);
}

// ---- Misuse ------------------------------------------------------------------------------------------------------

TEST_P(Programs, MistakesAreSentences) {
  Expr x = Input(&g_, "x", {2, 3}), i = IndexInput(&g_, "i", {2});
  g_.Output("y", (x * OneHot(i, 3)).id());
  std::unique_ptr<Program> p;
  ASSERT_TRUE(Program::Compile(backend_.get(), g_, {}, &p).ok());
  std::vector<float> six(6), five(5);
  std::vector<int32_t> two(2);
  auto expect = [](const Status& s, Code code, const std::string& words) {
    EXPECT_EQ(s.code(), code);
    EXPECT_TRUE(Contains(s.message(), words)) << s.message();
  };
  expect(p->SetInput("z", std::span<const float>(six)), Code::kNotFound, "no input 'z'");
  expect(p->SetInput("x", std::span<const float>(five)), Code::kInvalidArgument, "'x' has 6 numbers, got 5");
  expect(p->SetInput("x", std::span<const int32_t>(two)), Code::kInvalidArgument, "'x' is real");
  expect(p->SetInput("i", std::span<const float>(five)), Code::kInvalidArgument, "'i' holds indices");
  expect(p->Fetch("z", std::span<float>(six)), Code::kNotFound, "no output 'z'");
  expect(p->Fetch("y", std::span<float>(five)), Code::kInvalidArgument, "'y' has 6 numbers, got 5");
  Shape shape;
  expect(p->OutputShape("z", &shape), Code::kNotFound, "no output 'z'");
  EXPECT_EQ(p->InputData("z"), nullptr);
  EXPECT_TRUE(p->HasInput("x") && p->HasOutput("y") && !p->HasInput("y") && !p->HasOutput("x"));

  // A graph with a mistake does not compile, and says which.
  MatMul(x, x);
  EXPECT_EQ(Program::Compile(backend_.get(), g_, {}, &p).message(), g_.error());
  MemoryInfo info;
  EXPECT_EQ(Program::Plan(backend_.get(), g_, {}, &info).message(), g_.error());
}

TEST_P(Programs, VariablesOfAnotherNumberType) {
  VariableRef v = MakeVariable(ReferenceF64(), "v", {2}, {1, 2});
  g_.Output("y", (Read(&g_, v) * 2.0).id());
  std::unique_ptr<Program> p;
  const Status s = Program::Compile(backend_.get(), g_, {}, &p);
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Contains(s.message(), "variable v")) << s.message();

  std::vector<float> three(3);
  VariableRef own = Var("own", {2}, {1, 2});
  EXPECT_TRUE(Contains(ReadVariable(backend_.get(), *own, std::span<float>(three)).message(), "own has 2 numbers"));
  const Status write = WriteVariable(backend_.get(), std::span<const float>(three), own.get());
  EXPECT_TRUE(Contains(write.message(), "own has 2 numbers, got 3"));
}

TEST_P(Programs, NothingToCompute) {
  Compiled empty(backend_.get(), g_);
  EXPECT_TRUE(empty.Run().empty());
  EXPECT_EQ(empty.program()->launches(), 0u);

  Input(&g_, "unused", {2});
  g_.Output("x", Input(&g_, "x", {}).id());
  Compiled p(backend_.get(), g_);
  EXPECT_FALSE(p.program()->HasInput("unused"));
  EXPECT_EQ(p.Run({{"x", {{4}}}}).at("x"), Numbers{4});
}

INSTANTIATE_TEST_SUITE_P(Backends, Programs, testing::Range<size_t>(0, TestBackends().size()),
                         [](const auto& info) { return TestBackends()[info.param].name; });

}  // namespace
}  // namespace distil
