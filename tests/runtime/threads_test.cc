// Backends and programs of different threads do not meet: compiled and run at once they compute what they compute alone.
#include <gtest/gtest.h>

#include <thread>

#include "tests/runtime/random_graph.h"

namespace distil {
namespace {

Fetches Work(const TestBackend& t, uint64_t seed) {
  const std::unique_ptr<Backend> backend = t.make();
  RandomGraph r = MakeRandomGraph(seed, backend.get(), false, t.bf16);
  Compiled program(backend.get(), r.graph, {.bf16 = t.bf16});
  Fetches out;
  for (int step = 0; step < 3; ++step) out = program.Run(r.feeds);
  for (const VariableRef& v : r.variables) out[v->name] = ValuesOf(backend.get(), v);
  return out;
}

TEST(Threads, ProgramsAtOnce) {
  constexpr int kThreads = 4;
  for (const TestBackend& t : TestBackends()) {
    SCOPED_TRACE(t.name);
    Fetches alone[kThreads], together[kThreads];
    for (int i = 0; i < kThreads; ++i) alone[i] = Work(t, static_cast<uint64_t>(i) + 1);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&t, &together, i] { together[i] = Work(t, static_cast<uint64_t>(i) + 1); });
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < kThreads; ++i) ExpectSameBits(alone[i], together[i]);
  }
}

}  // namespace
}  // namespace distil
