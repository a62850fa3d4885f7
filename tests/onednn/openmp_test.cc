// The caller's OpenMP settings neither stop oneDNN nor are changed by it. oneDNN's kernels wait for threads that never
// come when they get fewer than they were made for.
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/ops/harness.h"

namespace distil {
namespace {

// A gradient by a weight: its kernel has a barrier.
struct Step {
  Step() {
    HostOptions options;
    options.threads = 2;
    backend = MakeOneDnnBackend(options);
    Graph g;
    Expr x = Input(&g, "x", {4, 16, 12, 12}), dy = Input(&g, "dy", {4, 16, 12, 12});
    ConvAttrs a;
    a.pad[0] = a.pad[1] = 1, a.size[0] = a.size[1] = 3;
    g.Output("dw", g.AddValue(Op::kConv2dWeight, {x.id(), dy.id()}, a.Pack()));
    program = std::make_unique<Compiled>(backend.get(), g);
    Rng rng(1);
    for (const char* name : {"x", "dy"}) {
      Feed f;
      for (int64_t n = x.shape().elements(); n > 0; --n) f.values.push_back(static_cast<float>(rng.Uniform(-1, 1)));
      program->Set(name, f);
    }
  }
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Compiled> program;
};

TEST(OpenMp, InsideTheCallersParallelRegion) {
  Step steps[2];
  const Fetches want = steps[0].program->Run();
  Fetches got[2];
  std::unique_ptr<Step> made[2];
#pragma omp parallel num_threads(2)
  {
    const int i = omp_get_thread_num();
    got[i] = steps[i].program->Run();
    made[i] = std::make_unique<Step>();
  }
  ExpectSameBits(got[0], want);
  if (made[1] == nullptr) return;  // the runtime gave no second thread
  ExpectSameBits(got[1], want);
  ExpectClose(made[0]->program->Run(), want, 1e-5);
  ExpectClose(made[1]->program->Run(), want, 1e-5);
}

TEST(OpenMp, SettingsAreRestored) {
  Step step;
  omp_set_num_threads(3);
  omp_set_dynamic(1);
  const int levels = omp_get_max_active_levels();
  step.program->Run();
  EXPECT_EQ(omp_get_max_threads(), 3);
  EXPECT_EQ(omp_get_dynamic(), 1);
  EXPECT_EQ(omp_get_max_active_levels(), levels);
  omp_set_dynamic(0);
}

// The runtime reads its limit when it starts, so this test starts itself again.
TEST(OpenMp, UnderALimit) {
  if (const char* limit = std::getenv("OMP_THREAD_LIMIT"); limit != nullptr && std::string(limit) == "1") {
    EXPECT_EQ(omp_get_thread_limit(), 1);
    Step().program->Run();
    return;
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    setenv("OMP_THREAD_LIMIT", "1", 1);
    execl("/proc/self/exe", "openmp_test", "--gtest_filter=OpenMp.UnderALimit", nullptr);
    _exit(127);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace distil
