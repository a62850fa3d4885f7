#include "harness/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace distil::harness {
namespace {

namespace fs = std::filesystem;

Status System(const std::string& what, const std::string& path, int error) {
  std::string message = what + " '" + path + "': " + std::strerror(error);
  return error == ENOENT ? NotFound(std::move(message)) : IoError(std::move(message));
}

Status WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return System("cannot write", path, errno);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

// Makes a rename in `folder` durable. Not every file system lets a folder be synced; then there is no more to
// do.
void SyncFolder(const std::string& folder) {
  int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)::fsync(fd);
  ::close(fd);
}

}  // namespace

Status ReadFile(const std::string& path, std::string* out, uint64_t limit) {
  out->clear();
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return System("cannot open", path, errno);
  struct stat info;
  if (::fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    ::close(fd);
    return InvalidArgument("'" + path + "' is a folder, not a file");
  }
  char buffer[1 << 16];
  Status status;
  while (true) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = System("cannot read", path, errno);
    if (n <= 0) break;
    out->append(buffer, static_cast<size_t>(n));
    if (out->size() > limit) {
      status = Corrupt("'" + path + "' is larger than the " + std::to_string(limit >> 20) +
                       " MiB that such a file may have");
      break;
    }
  }
  ::close(fd);
  return status;
}

Status WriteFileAtomic(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return System("cannot create", path, errno);
  Status status = WriteAll(fd, content, path);
  if (status.ok() && ::fsync(fd) != 0) status = System("cannot write", path, errno);
  if (::close(fd) != 0 && status.ok()) status = System("cannot write", path, errno);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) status = System("cannot write", path, errno);
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  SyncFolder(ParentPath(path));
  return {};
}

Status MakeFolders(const std::string& path) {
  if (path.empty()) return {};
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return IoError("cannot create the folder '" + path + "': " + error.message());
  if (!FolderExists(path)) return IoError("cannot create the folder '" + path + "': a file has that name");
  return {};
}

bool FileExists(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool FolderExists(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

Status RemoveFile(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return System("cannot remove", path, errno);
  return {};
}

Status FindFiles(const std::string& folder, const std::string& name, std::vector<std::string>* out) {
  out->clear();
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error), end;
  if (error) return IoError("cannot read the folder '" + folder + "': " + error.message());
  for (; it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->path().filename() == name && it->is_regular_file(ignored)) out->push_back(it->path().string());
  }
  if (error) return IoError("cannot read the folder '" + folder + "': " + error.message());
  std::sort(out->begin(), out->end());
  return {};
}

Status ListFolder(const std::string& folder, const std::string& suffix, std::vector<std::string>* out) {
  out->clear();
  std::error_code error;
  fs::directory_iterator it(folder, error), end;
  if (error) return IoError("cannot read the folder '" + folder + "': " + error.message());
  for (; it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
      out->push_back(name);
  }
  if (error) return IoError("cannot read the folder '" + folder + "': " + error.message());
  std::sort(out->begin(), out->end());
  return {};
}

std::string JoinPath(const std::string& a, const std::string& b) {
  if (a.empty() || (!b.empty() && b.front() == '/')) return b;
  return a.back() == '/' ? a + b : a + "/" + b;
}

std::string ParentPath(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return slash == 0 ? "/" : path.substr(0, slash);
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status AppendFile::Open(const std::string& path, std::string_view keep) {
  DISTIL_RETURN_IF_ERROR(WriteFileAtomic(path, keep));
  path_ = path;
  fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) return System("cannot open", path, errno);
  return {};
}

Status AppendFile::Append(std::string_view record) {
  DISTIL_RETURN_IF_ERROR(WriteAll(fd_, record, path_));
  if (::fsync(fd_) != 0) return System("cannot write", path_, errno);
  return {};
}

}  // namespace distil::harness
