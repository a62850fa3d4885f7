#include "lib/io/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace distil {
namespace {

namespace fs = std::filesystem;

// A folder of its own for each test.
class File : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  static std::string Content(const std::string& path) {
    std::vector<uint8_t> bytes;
    EXPECT_TRUE(ReadFile(path, &bytes).ok());
    return {bytes.begin(), bytes.end()};
  }
  fs::path folder_;
};

TEST_F(File, CommitReplaces) {
  for (const char* text : {"first", "second, longer"}) {
    AtomicFile f;
    ASSERT_TRUE(f.Open(path("a")).ok());
    ASSERT_TRUE(f.Write(text, std::strlen(text)).ok());
    ASSERT_TRUE(f.Commit().ok());
    EXPECT_EQ(Content(path("a")), text);
    EXPECT_EQ(files(), 1u);
  }
}

TEST_F(File, WithoutCommitNothingChanges) {
  std::ofstream(path("a")) << "old";
  {
    AtomicFile f;
    ASSERT_TRUE(f.Open(path("a")).ok());
    ASSERT_TRUE(f.Write("new", 3).ok());
    EXPECT_EQ(files(), 2u);
    EXPECT_EQ(Content(path("a")), "old");
  }
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(Content(path("a")), "old");
}

TEST_F(File, FailuresNameFileAndCause) {
  AtomicFile f;
  Status s = f.Open(path("no/such/folder"));
  EXPECT_EQ(s.code(), Code::kNotFound);
  EXPECT_EQ(s.message(), "cannot write " + path("no/such/folder") + ": No such file or directory");
  s = AtomicFile().Open(folder_.string());
  EXPECT_EQ(s.message(), "cannot write " + folder_.string() + ": it is a folder");

  std::vector<uint8_t> bytes;
  s = ReadFile(path("absent"), &bytes);
  EXPECT_EQ(s.code(), Code::kNotFound);
  EXPECT_EQ(s.message(), "cannot read " + path("absent") + ": No such file or directory");
  EXPECT_EQ(ReadFile(folder_.string(), &bytes).message(), "cannot read " + folder_.string() + ": not a regular file");
  EXPECT_EQ(ReadFile("/dev/zero", &bytes).message(), "cannot read /dev/zero: not a regular file");
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(path("pipe"), &bytes).message(), "cannot read " + path("pipe") + ": not a regular file");
}

TEST_F(File, Permissions) {
  if (geteuid() == 0) GTEST_SKIP() << "root may do everything";
  std::ofstream(path("secret")) << "x";
  chmod(path("secret").c_str(), 0);
  std::vector<uint8_t> bytes;
  EXPECT_EQ(ReadFile(path("secret"), &bytes).code(), Code::kIo);
}

// A full disk, as far as a process can make one for itself: a limit on the size of files.
TEST_F(File, FullDiskLeavesTheOldFile) {
  std::ofstream(path("a")) << "old";
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  Status s;
  {
    AtomicFile f;
    ASSERT_TRUE(f.Open(path("a")).ok());
    const std::vector<char> much(100000, 'x');
    s = f.Write(much.data(), much.size());
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(s.code(), Code::kIo);
  EXPECT_EQ(s.message(), "cannot write " + path("a") + ": File too large");
  EXPECT_EQ(Content(path("a")), "old");
  EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace distil
