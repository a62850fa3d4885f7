#include "lib/backend/cuda/libraries.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>

namespace distil::cuda {
namespace fs = std::filesystem;
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> Split(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t i = 0; i <= path.size();) {
    const size_t end = std::min(path.find(':', i), path.size());
    if (end > i) parts.push_back(path.substr(i, end - i));
    i = end + 1;
  }
  return parts;
}

// The folders in `folder` whose names begin with `prefix`, sorted: what is found does not depend on the file system.
std::vector<fs::path> Below(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; it != end; it.increment(ignored)) {
    if (it->path().filename().string().rfind(prefix, 0) == 0 && it->is_directory(ignored)) found.push_back(it->path());
    if (ignored) break;
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Folders {
 public:
  void Add(const fs::path& p) {
    std::error_code ignored;
    if (!fs::is_directory(p, ignored)) return;
    if (std::find(all_.begin(), all_.end(), p.string()) == all_.end()) all_.push_back(p.string());
  }
  // A folder of Python packages: NVIDIA's bring their libraries in nvidia/<package>/lib.
  void AddPackages(const fs::path& p) {
    for (const fs::path& package : Below(p / "nvidia", "")) Add(package / "lib");
  }
  // An installation or environment: lib/python3.*/{site,dist}-packages.
  void AddPrefix(const fs::path& prefix) {
    for (const fs::path& python : Below(prefix / "lib", "python3")) {
      AddPackages(python / "site-packages");
      AddPackages(python / "dist-packages");
    }
  }
  std::vector<std::string> Take() { return std::move(all_); }

 private:
  std::vector<std::string> all_;
};

template <class Table, class Fill>
Status Load(const std::string& title, const std::vector<std::string>& names, const Table** out, Fill fill) {
  static std::mutex mutex;
  static const Table* loaded = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!loaded) {
    void* handle;
    DISTIL_RETURN_IF_ERROR(OpenLibrary(title, names, &handle));
    auto table = std::make_unique<Table>();
    const char* missing = fill(table.get(), handle);
    if (missing) return Unsupported(title + " lacks the function " + missing + ": it is another version than expected");
    loaded = table.release();  // for the rest of the process
  }
  *out = loaded;
  return {};
}

}  // namespace

std::vector<std::string> LibraryFolders(const std::function<std::string(const char*)>& environment) {
  Folders folders;
  for (const std::string& p : Split(environment("DISTIL_CUDA_LIBRARY_PATH"))) folders.Add(p);
  for (const std::string& root : {environment("CUDA_HOME"), std::string("/usr/local/cuda")})
    if (!root.empty())
      for (const char* lib : {"lib64", "lib"}) folders.Add(fs::path(root) / lib);
  for (const std::string& p : Split(environment("PYTHONPATH"))) folders.AddPackages(p);
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const std::string prefix = environment(name); !prefix.empty()) folders.AddPrefix(prefix);
  for (const std::string& bin : Split(environment("PATH"))) {
    std::error_code error;
    const fs::path python = fs::path(bin) / "python3";
    if (!fs::exists(python, error)) continue;
    folders.AddPrefix(fs::path(bin).parent_path());  // a virtual environment's, before what its link leads to
    const fs::path real = fs::canonical(python, error);
    if (!error) folders.AddPrefix(real.parent_path().parent_path());
    break;
  }
  if (const std::string home = environment("HOME"); !home.empty()) folders.AddPrefix(fs::path(home) / ".local");
  folders.AddPrefix("/usr/local");
  folders.AddPackages("/usr/lib/python3/dist-packages");
  return folders.Take();
}

Status OpenLibrary(const std::string& title, const std::vector<std::string>& names, void** handle) {
  const std::vector<std::string> folders = LibraryFolders([](const char* name) { return Environment(name); });
  std::string reason;  // of a file that is there and cannot be loaded
  auto open = [&](const std::string& path) {
    *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    return *handle != nullptr;
  };
  auto open_in = [&](const std::string& folder) {
    for (const std::string& name : names) {
      const std::string path = folder + "/" + name;
      if (access(path.c_str(), F_OK) != 0) continue;
      if (open(path)) return true;
      if (const char* e = dlerror(); e && reason.empty()) reason = e;
    }
    return false;
  };
  for (const std::string& folder : Split(Environment("DISTIL_CUDA_LIBRARY_PATH")))
    if (open_in(folder)) return {};
  for (const std::string& name : names)
    if (open(name)) return {};
  for (const std::string& folder : folders)
    if (open_in(folder)) return {};
  std::string where = "the dynamic loader's places";
  for (const std::string& f : folders) where += ", " + f;
  return Unsupported(title + " (" + names.front() + ") " +
                     (reason.empty() ? "was not found in " + where : "cannot be loaded: " + reason) +
                     "; install it, or name its folder in DISTIL_CUDA_LIBRARY_PATH");
}

Status LoadCudnn(const Cudnn** out) {
  return Load<Cudnn>("cuDNN " + std::to_string(CUDNN_MAJOR), {"libcudnn.so." + std::to_string(CUDNN_MAJOR)}, out,
                     [](Cudnn* t, void* handle) -> const char* {
#define FUNCTION(name) \
  if (!(t->name = reinterpret_cast<decltype(t->name)>(dlsym(handle, #name)))) return #name;
#include "lib/backend/cuda/cudnn.def"
#undef FUNCTION
                       return nullptr;
                     });
}

Status LoadCublasLt(const CublasLt** out) {
  // Its major version follows the runtime's: the one of the headers is the one whose structures we know.
  return Load<CublasLt>("cuBLASLt " + std::to_string(CUBLAS_VER_MAJOR),
                        {"libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR)}, out,
                        [](CublasLt* t, void* handle) -> const char* {
#define FUNCTION(name) \
  if (!(t->name = reinterpret_cast<decltype(t->name)>(dlsym(handle, #name)))) return #name;
#include "lib/backend/cuda/cublaslt.def"
#undef FUNCTION
                          return nullptr;
                        });
}

}  // namespace distil::cuda
