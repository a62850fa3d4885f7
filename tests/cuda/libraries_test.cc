// Where cuDNN and cuBLASLt are looked for, and how the ones that are here load.
#include "lib/backend/cuda/libraries.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace distil::cuda {
namespace {

namespace fs = std::filesystem;

class Libraries : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("libraries" + std::to_string(getpid()));
    fs::create_directories(root_);
    root_ = fs::canonical(root_);
  }
  void TearDown() override {
    fs::remove_all(root_);
    unsetenv("DISTIL_CUDA_LIBRARY_PATH");
  }
  std::string Folder(const std::string& path) {
    fs::create_directories(root_ / path);
    return (root_ / path).string();
  }
  // Those of the folders found that are below root_.
  std::vector<std::string> Found(const std::map<std::string, std::string>& environment) {
    std::vector<std::string> own;
    for (const std::string& f : LibraryFolders([&](const char* name) {
           const auto it = environment.find(name);
           return it == environment.end() ? std::string() : it->second;
         }))
      if (f.rfind(root_.string(), 0) == 0) own.push_back(f.substr(root_.string().size() + 1));
    return own;
  }

  fs::path root_;
};

using Paths = std::vector<std::string>;

TEST_F(Libraries, NamedFoldersComeFirst) {
  const std::string a = Folder("a"), b = Folder("b"), toolkit = Folder("cuda/lib64");
  EXPECT_EQ(Found({{"DISTIL_CUDA_LIBRARY_PATH", b + ":" + a + "::" + root_.string() + "/none"},
                   {"CUDA_HOME", root_.string() + "/cuda"}}),
            (Paths{"b", "a", "cuda/lib64"}));
}

TEST_F(Libraries, PythonPackagesAreFoundWithoutPython) {
  Folder("env/lib/python3.12/site-packages/nvidia/cudnn/lib");
  Folder("env/lib/python3.12/site-packages/nvidia/cu13/lib");
  Folder("env/lib/python3.12/site-packages/nvidia/no_libraries");
  Folder("path/nvidia/cublas/lib");
  const Paths packages = {"env/lib/python3.12/site-packages/nvidia/cu13/lib",
                          "env/lib/python3.12/site-packages/nvidia/cudnn/lib"};
  const std::string env = root_.string() + "/env";
  EXPECT_EQ(Found({{"VIRTUAL_ENV", env}}), packages);
  EXPECT_EQ(Found({{"CONDA_PREFIX", env}}), packages);
  EXPECT_EQ(Found({{"PYTHONPATH", root_.string() + "/path"}}), (Paths{"path/nvidia/cublas/lib"}));
  EXPECT_EQ(Found({{"HOME", root_.string()}}), Paths());
}

TEST_F(Libraries, TheFirstPythonOnThePathCountsAndSoDoesWhatItLinksTo) {
  Folder("real/bin"), Folder("real/lib/python3.9/dist-packages/nvidia/cudnn/lib");
  Folder("env/bin"), Folder("env/lib/python3.9/site-packages/nvidia/cublas/lib");
  Folder("late/bin"), Folder("late/lib/python3.9/site-packages/nvidia/cudnn/lib");
  std::ofstream(root_ / "real/bin/python3") << "";
  std::ofstream(root_ / "late/bin/python3") << "";
  fs::create_symlink(root_ / "real/bin/python3", root_ / "env/bin/python3");
  const std::string r = root_.string();
  EXPECT_EQ(Found({{"PATH", r + "/none:" + r + "/env/bin:" + r + "/late/bin"}}),
            (Paths{"env/lib/python3.9/site-packages/nvidia/cublas/lib",
                   "real/lib/python3.9/dist-packages/nvidia/cudnn/lib"}));
}

TEST_F(Libraries, AMissingOneIsNamedWithThePlaces) {
  setenv("DISTIL_CUDA_LIBRARY_PATH", Folder("here").c_str(), 1);
  void* handle = nullptr;
  const Status s = OpenLibrary("Library X", {"libdistil_no_such_thing.so.1"}, &handle);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  for (const char* part : {"Library X", "libdistil_no_such_thing.so.1", "/here", "DISTIL_CUDA_LIBRARY_PATH"})
    EXPECT_NE(s.message().find(part), std::string::npos) << s.message();
}

TEST_F(Libraries, ADamagedOneSaysWhy) {
  setenv("DISTIL_CUDA_LIBRARY_PATH", Folder("here").c_str(), 1);
  std::ofstream(root_ / "here/libdistil_damaged.so.1") << "no library";
  void* handle = nullptr;
  const Status s = OpenLibrary("Library X", {"libdistil_damaged.so.1"}, &handle);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_NE(s.message().find("cannot be loaded: "), std::string::npos) << s.message();
}

// Every function of the .def files is there under its name.
TEST_F(Libraries, ThoseOfThisMachineLoad) {
  const Cudnn* cudnn = nullptr;
  const CublasLt* cublaslt = nullptr;
  for (const Status& s : {LoadCublasLt(&cublaslt), LoadCudnn(&cudnn)}) {
    if (s.message().find("was not found") != std::string::npos) GTEST_SKIP() << s.message();
    ASSERT_TRUE(s.ok()) << s.message();
  }
  EXPECT_EQ(cudnn->cudnnGetVersion() / 10000, static_cast<size_t>(CUDNN_MAJOR));
  EXPECT_EQ(cublaslt->cublasLtGetVersion() / 10000, static_cast<size_t>(CUBLAS_VER_MAJOR));
}

}  // namespace
}  // namespace distil::cuda
