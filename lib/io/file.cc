#include "lib/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>

namespace distil {
namespace {

std::string Reason(int error) { return std::generic_category().message(error); }

Code CodeOf(int error) { return error == ENOENT || error == ENOTDIR ? Code::kNotFound : Code::kIo; }

Status CannotRead(const std::string& path, const std::string& why, Code code = Code::kIo) {
  return {code, "cannot read " + path + ": " + why};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  const int fd;
};

}  // namespace

Status ReadFile(const std::string& path, std::vector<uint8_t>* out) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return CannotRead(path, Reason(errno), CodeOf(errno));
  struct stat info {};
  if (fstat(file.fd, &info) != 0) return CannotRead(path, Reason(errno));
  if (!S_ISREG(info.st_mode)) return CannotRead(path, "not a regular file", Code::kInvalidArgument);
  out->resize(static_cast<size_t>(info.st_size));
  for (size_t at = 0; at < out->size();) {
    const ssize_t n = read(file.fd, out->data() + at, out->size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return CannotRead(path, Reason(errno));
    if (n == 0) out->resize(at);  // it became shorter meanwhile
    at += static_cast<size_t>(n);
  }
  return {};
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status AtomicFile::Failed(const char* what) {
  const int error = errno;
  return {CodeOf(error), std::string("cannot ") + what + " " + path_ + ": " + Reason(error)};
}

Status AtomicFile::Open(const std::string& path) {
  static std::atomic<unsigned> number{0};
  path_ = path;
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return InvalidArgument("cannot write " + path + ": it is a folder");
  const std::string name = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(number++);
  file_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0) return Failed("write");
  temporary_ = name;
  return {};
}

Status AtomicFile::Write(const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = write(file_, p, std::min(bytes, size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("write");
    p += n;
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

Status AtomicFile::Commit() {
  if (fsync(file_) != 0) return Failed("write");
  const int file = file_;
  file_ = -1;
  if (close(file) != 0) return Failed("write");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return Failed("write");
  temporary_.clear();
  // The rename itself is on disk only when the folder is. Some file systems cannot sync a folder: not an error.
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == path_.npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  Descriptor d(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (d.fd >= 0) fsync(d.fd);
  return {};
}

}  // namespace distil
