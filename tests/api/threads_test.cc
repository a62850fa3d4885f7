// Two threads, distinct handles of one device and of two: for the thread sanitizer, which sees the reference backend only
// (oneDNN's OpenMP runtime is not built for it).
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "distil/distil.h"

namespace {

// A short life of a network, a trainer and an inference; its digest.
std::string Work(distil_device* device, distil_network* teacher, uint64_t seed) {
  distil_network* n = nullptr;
  char digest[65] = "";
  EXPECT_EQ(distil_network_create(device, "resnet8", "classes=4 input=3,8,8", seed, &n), DISTIL_OK);
  const distil_role roles[] = {{"student", n}, {"teacher", teacher}};
  distil_trainer* t = nullptr;
  EXPECT_EQ(distil_trainer_create(device, "kd", "schedule=constant", roles, 2, &t), DISTIL_OK) << distil_last_error();
  const std::vector<float> images(2 * 3 * 8 * 8, 0.25f);
  const int32_t labels[] = {0, 1};
  distil_batch b = DISTIL_BATCH_INIT;
  b.count = 2, b.images = images.data(), b.labels = labels;
  for (int k = 0; k < 2; ++k) EXPECT_EQ(distil_trainer_step(t, &b, nullptr), DISTIL_OK) << distil_last_error();
  distil_inference* i = nullptr;
  distil_score s = DISTIL_SCORE_INIT;
  EXPECT_EQ(distil_inference_create(n, 2, nullptr, &i), DISTIL_OK);
  EXPECT_EQ(distil_inference_score(i, &b, &s), DISTIL_OK);
  // Messages belong to threads.
  const std::string wrong = "no" + std::to_string(seed);
  EXPECT_EQ(distil_network_create(device, wrong.c_str(), nullptr, 1, &n), DISTIL_NOT_FOUND);
  EXPECT_NE(std::string(distil_last_error()).find("'" + wrong + "'"), std::string::npos);
  EXPECT_EQ(n, nullptr);
  n = roles[0].network;
  EXPECT_EQ(distil_network_digest(n, digest), DISTIL_OK);
  distil_inference_free(i);
  distil_trainer_free(t);
  distil_network_free(n);
  return digest;
}

std::vector<const char*> Devices() {
#if defined(__SANITIZE_THREAD__)
  return {"reference"};
#else
  return {"reference", "cpu"};
#endif
}

TEST(Threads, DistinctHandlesOfOneDevice) {
  for (const char* name : Devices()) {
    distil_device_options o = DISTIL_DEVICE_OPTIONS_INIT;
    o.threads = 1;
    distil_device* device = nullptr;
    ASSERT_EQ(distil_device_open(name, &o, &device), DISTIL_OK);
    distil_network* teacher = nullptr;  // read by both
    ASSERT_EQ(distil_network_create(device, "resnet8", "classes=4 input=3,8,8", 99, &teacher), DISTIL_OK);
    std::string a, b;
    std::thread one([&] { a = Work(device, teacher, 1); }), two([&] { b = Work(device, teacher, 2); });
    one.join();
    two.join();
    EXPECT_EQ(a, Work(device, teacher, 1)) << name;
    EXPECT_EQ(b, Work(device, teacher, 2)) << name;
    distil_network_free(teacher);
    distil_device_close(device);
  }
}

TEST(Threads, DistinctDevices) {
  for (const char* name : Devices()) {
    std::string digest[2];
    std::vector<std::thread> threads;
    for (std::string& d : digest) {
      threads.emplace_back([&d, name] {
        distil_device_options o = DISTIL_DEVICE_OPTIONS_INIT;
        o.threads = 1;
        distil_device* device = nullptr;
        ASSERT_EQ(distil_device_open(name, &o, &device), DISTIL_OK);
        distil_network* teacher = nullptr;
        ASSERT_EQ(distil_network_create(device, "resnet8", "classes=4 input=3,8,8", 99, &teacher), DISTIL_OK);
        d = Work(device, teacher, 1);
        distil_network_free(teacher);
        distil_device_close(device);
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(digest[0], digest[1]) << name;
  }
}

}  // namespace
