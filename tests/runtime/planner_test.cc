// The planner on random graphs: no value is overwritten while somebody needs it, and results are those of a program in
// which nothing shares memory.
#include "lib/runtime/planner.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/runtime/random_graph.h"

namespace distil {
namespace {

constexpr int kGraphs = 60;

// ---- Replays a plan on memory that remembers which value it holds ------------------------------------------------

class Memory {
 public:
  Memory(Backend* backend, const Graph& g, const MemoryPlan& plan) : backend_(backend), g_(g), plan_(plan) {}

  void Check() {
    // Variables hold the values that their nodes read, inputs theirs.
    for (NodeId n = 0; n < g_.node_count(); ++n) {
      const Node& node = g_.node(n);
      if (node.op != Op::kVariable && node.op != Op::kInput) continue;
      const ValueId v = node.out[0];
      if (plan_.places[v].kind != Place::kNone) Write(plan_.places[v], backend_->Bytes(g_, v), v);
    }
    for (const PlannedLaunch& l : plan_.once) Run(l);
    // A step finds what the last one left in the arena: nothing it may rely on.
    for (auto& [cell, value] : cells_)
      if (std::get<0>(cell) == Place::kArena) value = kNoValue;
    for (const PlannedLaunch& l : plan_.every) Run(l);
    for (size_t i = 0; i < g_.outputs().size(); ++i) {
      EXPECT_NE(plan_.outputs[i].kind, Place::kNone);
      EXPECT_EQ(plan_.outputs[i].kind, Place::kIo);
    }
  }

 private:
  using Cell = std::tuple<Place::Kind, const Variable*, size_t>;  // 64 bytes
  static constexpr size_t kCell = 64;

  ValueId Root(ValueId v) const {
    while (g_.producer(v).op == Op::kReshape) v = g_.producer(v).in[0];
    return v;
  }
  template <class F>
  void Each(const Place& p, size_t bytes, F f) {
    EXPECT_EQ(p.offset % kCell, 0u);
    for (size_t at = 0; at < bytes; at += kCell)
      f(cells_.try_emplace({p.kind, p.variable, p.offset + at}, kNoValue).first->second);
  }
  void Write(const Place& p, size_t bytes, ValueId v) {
    Each(p, bytes, [&](ValueId& cell) { cell = v; });
    const size_t end = p.offset + bytes;
    size_t room = SIZE_MAX;
    if (p.kind == Place::kArena) room = plan_.arena;
    if (p.kind == Place::kConstant) room = plan_.constants;
    if (p.kind == Place::kIo) room = plan_.io;
    EXPECT_LE(end, room);
  }
  void Holds(const Place& p, size_t bytes, ValueId v, const PlannedLaunch& l) {
    bool all = true;
    Each(p, bytes, [&](ValueId cell) { all = all && cell == v; });
    EXPECT_TRUE(all) << Describe(g_, g_.node(l.node)) << " reads value " << v << " after it was overwritten";
  }

  void Run(const PlannedLaunch& l) {
    const Node& n = g_.node(l.node);
    for (size_t i = 0; i < n.in.size(); ++i) Holds(l.in[i], backend_->Bytes(g_, n.in[i]), Root(n.in[i]), l);
    // The workspace is the kernel's own.
    const Place workspace{Place::kArena, l.workspace, nullptr};
    const size_t scratch = l.kernel->workspace();
    Each(workspace, scratch, [](ValueId& cell) { cell = kNoValue; });
    EXPECT_TRUE(scratch == 0 || l.workspace + scratch <= plan_.arena);
    for (size_t i = 0; i < n.in.size(); ++i) Holds(l.in[i], backend_->Bytes(g_, n.in[i]), Root(n.in[i]), l);
    // Outputs overwrite an input only where the kernel allows it.
    for (size_t o = 0; o < n.out.size(); ++o) {
      const size_t bytes = backend_->Bytes(g_, n.out[o]);
      for (size_t i = 0; i < n.in.size(); ++i) {
        bool touches = false;
        Each(l.out[o], bytes, [&](ValueId cell) { touches = touches || cell == Root(n.in[i]); });
        if (!touches) continue;
        const bool same = l.in[i].kind == l.out[o].kind && l.in[i].offset == l.out[o].offset;
        const int in = static_cast<int>(i), out = static_cast<int>(o);
        EXPECT_TRUE(same && (l.kernel->MayAlias(in, out) || l.kernel->PreferAlias(out) == in))
            << Describe(g_, n) << " writes output " << o << " over input " << i;
      }
    }
    for (size_t o = 0; o < n.out.size(); ++o) Write(l.out[o], backend_->Bytes(g_, n.out[o]), n.out[o]);
    for (size_t o = 0; o < n.out.size(); ++o) Holds(l.out[o], backend_->Bytes(g_, n.out[o]), n.out[o], l);
    Each(workspace, scratch, [&](ValueId cell) { EXPECT_EQ(cell, kNoValue) << "an output lies in the workspace"; });
  }

  Backend* backend_;
  const Graph& g_;
  const MemoryPlan& plan_;
  std::map<Cell, ValueId> cells_;
};

class Planner : public testing::TestWithParam<size_t> {
 protected:
  const TestBackend& backend() const { return TestBackends()[GetParam()]; }
};

TEST_P(Planner, NothingIsOverwrittenTooEarly) {
  const std::unique_ptr<Backend> b = backend().make();
  for (uint64_t seed : TestSeeds(kGraphs)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    RandomGraph r = MakeRandomGraph(seed, b.get(), false, backend().bf16);
    const Status s = b->Optimize(&r.graph, {.bf16 = backend().bf16});
    ASSERT_TRUE(s.ok()) << s.message();
    MemoryPlan plan;
    const Status planned = PlanMemory(b.get(), &r.graph, &plan);
    ASSERT_TRUE(planned.ok()) << planned.message();
    Memory(b.get(), r.graph, plan).Check();
    if (HasFailure()) return;
  }
}

// A backend that runs launches at the same time.
class Spread : public Backend {
 public:
  Spread(std::unique_ptr<Backend> b, int distance) : b_(std::move(b)), distance_(distance) {}
  std::string_view name() const override { return b_->name(); }
  std::string description() const override { return b_->description(); }
  DType real() const override { return b_->real(); }
  int reuse_distance() const override { return distance_; }
  Status Optimize(Graph* g, const CompileOptions& options) override { return b_->Optimize(g, options); }
  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) override {
    return b_->MakeKernel(g, n, out);
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return b_->MakeCopy(bytes); }
  size_t Bytes(const Graph& g, ValueId v) const override { return b_->Bytes(g, v); }
  Status Allocate(size_t bytes, Buffer* out) override { return b_->Allocate(bytes, out); }
  Status Upload(void* to, const void* from, size_t n) override { return b_->Upload(to, from, n); }
  Status Download(void* to, const void* from, size_t n) override { return b_->Download(to, from, n); }
  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>* cache) override {
    return b_->Execute(launches, cache);
  }

 private:
  std::unique_ptr<Backend> b_;
  int distance_;
};

// Which cells of the arena a launch touches; of its outputs only those that take over no memory of an own input, which
// is the kernel's affair.
struct Touched {
  std::set<size_t> all, fresh;
};
Touched CellsOf(const Backend& b, const Graph& g, const PlannedLaunch& l) {
  Touched t;
  auto add = [](const Place& p, size_t bytes, std::set<size_t>* to) {
    for (size_t at = 0; p.kind == Place::kArena && at < bytes; at += 64) to->insert((p.offset + at) / 64);
  };
  const Node& n = g.node(l.node);
  std::set<size_t> own;
  for (size_t i = 0; i < n.in.size(); ++i) add(l.in[i], b.Bytes(g, n.in[i]), &own);
  for (size_t i = 0; i < n.out.size(); ++i) add(l.out[i], b.Bytes(g, n.out[i]), &t.all);
  add({Place::kArena, l.workspace, nullptr}, l.kernel->workspace(), &t.all);
  for (size_t c : t.all)
    if (!own.count(c)) t.fresh.insert(c);
  t.all.insert(own.begin(), own.end());
  return t;
}

// Within the distance, memory is taken over only from launches whose results are needed anyway; results stay right.
TEST(Planner, KeepsItsDistance) {
  size_t more = 0;
  for (uint64_t seed : TestSeeds(kGraphs)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    const int distance = 2 + static_cast<int>(seed % 40);
    Spread spread(MakeReferenceBackend({}, DType::kF32), distance);
    RandomGraph r = MakeRandomGraph(seed, &spread, false), tight = MakeRandomGraph(seed, &spread, false);
    Graph& g = r.graph;
    ASSERT_TRUE(spread.Optimize(&g, {}).ok());
    MemoryPlan plan, tight_plan;
    ASSERT_TRUE(PlanMemory(&spread, &g, &plan).ok());
    Memory(&spread, g, plan).Check();
    const std::unique_ptr<Backend> eager = MakeReferenceBackend({}, DType::kF32);
    ASSERT_TRUE(eager->Optimize(&tight.graph, {}).ok());
    ASSERT_TRUE(PlanMemory(eager.get(), &tight.graph, &tight_plan).ok());
    more += plan.arena > tight_plan.arena;

    const size_t n = plan.every.size();
    std::vector<Touched> touched;
    std::map<NodeId, size_t> launch_of;
    std::vector<std::set<size_t>> needs(n);
    for (size_t t = 0; t < n; ++t) {
      touched.push_back(CellsOf(spread, g, plan.every[t]));
      for (ValueId v : g.node(plan.every[t].node).in) {
        while (g.producer(v).op == Op::kReshape) v = g.producer(v).in[0];
        if (const auto it = launch_of.find(g.value(v).node); it != launch_of.end()) {
          needs[t].insert(it->second);
          needs[t].insert(needs[it->second].begin(), needs[it->second].end());
        }
      }
      launch_of[plan.every[t].node] = t;
      for (size_t s = t - std::min(t, static_cast<size_t>(distance) - 1); s < t; ++s) {
        if (needs[t].count(s)) continue;
        for (size_t c : touched[t].fresh)
          if (touched[s].all.count(c)) {
            ADD_FAILURE() << "launch " << t << " takes over memory of launch " << s << ", distance " << distance;
            return;
          }
      }
    }
  }
  EXPECT_GT(more, 0u);  // or nothing was tested
}

// Runs three steps. A naive program's variables are written by hand.
std::vector<Fetches> Steps(Backend* backend, RandomGraph& r, bool naive, const CompileOptions& options) {
  std::vector<Fetches> steps;
  Compiled program(backend, r.graph, options);
  if (!program.ok()) return steps;
  for (int step = 0; step < 3; ++step) {
    Fetches all = program.Run(r.feeds), outputs;
    for (size_t i = 0; i < r.variables.size(); ++i) {
      VariableRef& v = r.variables[i];
      if (naive && r.assigned[i]) {
        const Status s = WriteVariable(backend, std::span<const double>(all.at("next" + std::to_string(i))), v.get());
        EXPECT_TRUE(s.ok()) << s.message();
      }
    }
    for (auto& [name, values] : all)
      if (name[0] == 'y') outputs[name] = values;
    for (const VariableRef& v : r.variables) outputs[v->name] = ValuesOf(backend, v);
    steps.push_back(outputs);
  }
  return steps;
}

// The reference computes the same bits however memory is shared.
TEST(PlannedRun, IsTheNaiveRunBitForBit) {
  for (uint64_t seed : TestSeeds(kGraphs)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    RandomGraph planned = MakeRandomGraph(seed, ReferenceF64(), false);
    RandomGraph naive = MakeRandomGraph(seed, ReferenceF64(), true);
    const std::vector<Fetches> got = Steps(ReferenceF64(), planned, false, {});
    const std::vector<Fetches> want = Steps(ReferenceF64(), naive, true, {});
    ASSERT_EQ(got.size(), 3u);
    ASSERT_EQ(want.size(), 3u);
    for (int step = 0; step < 3; ++step) ExpectSameBits(got[step], want[step]);
    if (HasFailure()) return;
  }
}

TEST_P(Planner, BackendsAgreeOnRandomGraphs) {
  const std::unique_ptr<Backend> b = backend().make();
  const CompileOptions options = {.bf16 = backend().bf16};
  for (uint64_t seed : TestSeeds(kGraphs)) {
    SCOPED_TRACE("DISTIL_TEST_SEED=" + std::to_string(seed));
    RandomGraph reference = MakeRandomGraph(seed, ReferenceF64(), true);
    RandomGraph under_test = MakeRandomGraph(seed, b.get(), false, backend().bf16);
    const std::vector<Fetches> want = Steps(ReferenceF64(), reference, true, {});
    const std::vector<Fetches> got = Steps(b.get(), under_test, false, options);
    ASSERT_EQ(got.size(), 3u);
    for (int step = 0; step < 3; ++step) ExpectClose(got[step], want[step], backend().bf16 ? 0.2 : 1e-4);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Planner, testing::Range<size_t>(0, TestBackends().size()),
                         [](const auto& info) { return TestBackends()[info.param].name; });

}  // namespace
}  // namespace distil
