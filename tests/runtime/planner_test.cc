// The planner on random graphs: no value is overwritten while somebody needs it, and results are those of a program in
// which nothing shares memory.
#include "lib/runtime/planner.h"

#include <gtest/gtest.h>

#include <map>

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
