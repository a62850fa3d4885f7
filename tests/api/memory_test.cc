// Memory: all of it comes from the caller's allocator, as much as distil_*_memory says before anything runs, and a
// step after the first takes none, neither there nor from the C++ heap.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "distil/distil.h"

namespace {
std::atomic<long> heap_calls{0};
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(size_t n) {
  ++heap_calls;
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

namespace {

#define OK(call) ASSERT_EQ(call, DISTIL_OK) << distil_last_error()

struct Counter {
  uint64_t live = 0, calls = 0;
  static void* Take(void* user, size_t bytes) {
    auto* c = static_cast<Counter*>(user);
    c->live += bytes, ++c->calls;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  static void Give(void* user, void* p, size_t bytes) {
    static_cast<Counter*>(user)->live -= bytes;
    std::free(p);
  }
};

class Memory : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    distil_device_options o = DISTIL_DEVICE_OPTIONS_INIT;
    o.threads = 2;
    o.allocate = Counter::Take, o.release = Counter::Give, o.allocator_user = &counter_;
    o.log = [](void* user, distil_log_level, const char* message) {
      static_cast<std::vector<std::string>*>(user)->push_back(message);
    };
    o.log_user = &messages_;
    OK(distil_device_open(GetParam(), &o, &device_));
    for (size_t i = 0; i < images_.size(); ++i) images_[i] = static_cast<uint8_t>(i * 31);
  }
  void TearDown() override {
    distil_device_close(device_);
    EXPECT_EQ(counter_.live, 0u);
  }
  // oneDNN makes an argument table of its own in every call; what is ours shows on the reference, which shares all else.
  void ExpectNoHeap(long calls) {
    if (std::string(GetParam()) == "reference") {
      EXPECT_EQ(calls, 0);
    }
  }
  distil_batch Batch(int64_t count) {
    distil_batch b = DISTIL_BATCH_INIT;
    b.count = count, b.pixels = DISTIL_U8_NHWC, b.images = images_.data(), b.labels = labels_.data();
    return b;
  }
  Counter counter_;
  std::vector<std::string> messages_;
  distil_device* device_ = nullptr;
  std::vector<uint8_t> images_ = std::vector<uint8_t>(4 * 16 * 16 * 3);
  std::vector<int32_t> labels_ = {0, 1, 2, 3};
};
INSTANTIATE_TEST_SUITE_P(Devices, Memory, testing::Values("cpu", "reference"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Memory, TrainingTakesWhatItSaid) {
  distil_network *student, *teacher;
  OK(distil_network_create(device_, "resnet8", "classes=10 input=3,16,16", 1, &student));
  OK(distil_network_create(device_, "resnet14", "classes=10 input=3,16,16", 2, &teacher));
  const distil_role roles[] = {{"student", student}, {"teacher", teacher}};
  distil_trainer* t;
  OK(distil_trainer_create(device_, "kd+fitnet", "schedule=constant crop_pad=2 flip=0.5 hue=0.1", roles, 2, &t));
  distil_memory said = DISTIL_MEMORY_INIT, later = DISTIL_MEMORY_INIT;
  OK(distil_trainer_memory(t, 4, &said));
  EXPECT_EQ(said.total, said.arena + said.constants + said.io + said.variables);
  EXPECT_GT(said.arena, 0u);
  EXPECT_EQ(counter_.live, said.variables);
  const distil_batch b = Batch(4);
  OK(distil_trainer_step(t, &b, nullptr));
  EXPECT_EQ(counter_.live, said.total);
  OK(distil_trainer_memory(t, 4, &later));
  EXPECT_EQ(said.total, later.total);
  EXPECT_EQ(messages_.size(), 1u);

  OK(distil_trainer_step(t, &b, nullptr));
  const uint64_t calls = counter_.calls;
  const long heap = heap_calls;
  distil_step_result r = DISTIL_STEP_RESULT_INIT;
  for (int k = 0; k < 3; ++k) ASSERT_EQ(distil_trainer_step(t, &b, &r), DISTIL_OK);
  ExpectNoHeap(heap_calls - heap);
  EXPECT_EQ(counter_.calls, calls);
  distil_trainer_free(t);
  distil_network_free(student);
  distil_network_free(teacher);
}

TEST_P(Memory, InferenceTakesWhatItSaid) {
  distil_network* n;
  OK(distil_network_create(device_, "resnet8", "classes=10 input=3,16,16", 1, &n));
  distil_inference* i;
  OK(distil_inference_create(n, 4, "taps=f1", &i));
  distil_memory m = DISTIL_MEMORY_INIT;
  OK(distil_inference_memory(i, &m));
  EXPECT_EQ(counter_.live, m.total);
  const distil_batch b = Batch(3);
  std::vector<float> z(30);
  OK(distil_inference_run(i, &b));
  OK(distil_inference_output(i, "logits", z.data(), z.size()));
  const uint64_t calls = counter_.calls;
  const long heap = heap_calls;
  for (int k = 0; k < 3; ++k) {
    ASSERT_EQ(distil_inference_run(i, &b), DISTIL_OK);
    ASSERT_EQ(distil_inference_output(i, "logits", z.data(), z.size()), DISTIL_OK);
  }
  ExpectNoHeap(heap_calls - heap);
  EXPECT_EQ(counter_.calls, calls);
  // What is freed first lives until its last user is gone.
  distil_network_free(n);
  OK(distil_inference_run(i, &b));
  distil_inference_free(i);
}

}  // namespace
