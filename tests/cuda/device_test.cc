// Opening a GPU where there is one, and the words for where there is none.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "lib/backend/backend.h"

namespace distil {
namespace {

// What this build or machine lacks; "" when cuda:0 is there.
std::string WhyNot() {
  std::unique_ptr<Backend> backend;
  return MakeCudaBackend(0, {}, &backend).message();
}

TEST(Cuda, AMissingDeviceIsExplained) {
  std::unique_ptr<Backend> backend;
  const Status s = MakeCudaBackend(0, {}, &backend);
  if (s.ok()) GTEST_SKIP() << "there is a GPU: " << backend->description();
  EXPECT_EQ(s.code(), Code::kUnsupported) << s.message();
  EXPECT_EQ(backend, nullptr);
  const char* known[] = {"has no CUDA backend: ", "no NVIDIA driver", "driver is too old", "sees no device",
                         "compute capability",    "libcublasLt.so.",  "libcudnn.so."};
  EXPECT_TRUE(std::any_of(std::begin(known), std::end(known), [&](const char* k) {
    return s.message().find(k) != std::string::npos;
  })) << s.message();
}

TEST(Cuda, AnAllocatorOfOnesOwnIsRefused) {
  HostOptions options;
  options.allocate = [](size_t) -> void* { return nullptr; };
  options.release = [](void*, size_t) {};
  std::unique_ptr<Backend> backend;
  EXPECT_EQ(MakeCudaBackend(0, options, &backend).code(), Code::kUnsupported);
}

TEST(Cuda, OnlyDevicesThatAreThereOpen) {
  if (const std::string why = WhyNot(); !why.empty()) GTEST_SKIP() << why;
  std::unique_ptr<Backend> backend;
  const Status s = MakeCudaBackend(999, {}, &backend);
  EXPECT_EQ(s.code(), Code::kNotFound);
  EXPECT_NE(s.message().find("no device cuda:999: the driver sees"), std::string::npos) << s.message();
}

TEST(Cuda, MemoryComesZeroedAndKeepsWhatIsWritten) {
  if (const std::string why = WhyNot(); !why.empty()) GTEST_SKIP() << why;
  std::unique_ptr<Backend> backend;
  ASSERT_TRUE(MakeCudaBackend(0, {}, &backend).ok());
  for (size_t n : {size_t{1}, size_t{1} << 20, (size_t{9} << 20) + 13, size_t{40} << 20}) {
    Buffer memory;
    ASSERT_TRUE(backend->Allocate(n, &memory).ok());
    std::vector<uint8_t> from(n), to(n, 1);
    ASSERT_TRUE(backend->Download(to.data(), memory.data, n).ok());
    EXPECT_EQ(to, from) << "not zeroed";
    for (size_t i = 0; i < n; ++i) from[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
    ASSERT_TRUE(backend->Upload(memory.data, from.data(), n).ok());
    const std::vector<uint8_t> want = from;
    std::fill(from.begin(), from.end(), uint8_t{0});  // Upload has taken its copy
    ASSERT_TRUE(backend->Download(to.data(), memory.data, n).ok());
    EXPECT_EQ(to, want) << n;
  }
}

TEST(Cuda, TooMuchMemoryIsRefusedWithTheFigures) {
  if (const std::string why = WhyNot(); !why.empty()) GTEST_SKIP() << why;
  std::unique_ptr<Backend> backend;
  ASSERT_TRUE(MakeCudaBackend(0, {}, &backend).ok());
  const size_t much = size_t{1} << 50;
  Buffer memory;
  for (const Status& s : {backend->HasRoom(much), backend->Allocate(much, &memory)}) {
    EXPECT_EQ(s.code(), Code::kOutOfMemory);
    EXPECT_NE(s.message().find("no room for 1073741824 MiB more"), std::string::npos) << s.message();
    EXPECT_NE(s.message().find("are free"), std::string::npos) << s.message();
  }
  EXPECT_TRUE(backend->Allocate(1 << 20, &memory).ok());  // and nothing is broken
}

}  // namespace
}  // namespace distil
