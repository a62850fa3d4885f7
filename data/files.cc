// POSIX file helpers.
#include "data/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

namespace distil::data {

Status FileError(const std::string& path, const std::string& failed, int error) {
  const std::string message = path + ": " + failed + ": " + std::strerror(error);
  if (error == ENOENT || error == ENOTDIR) return NotFound(message);
  return IoError(message);
}

Status CheckReadable(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return FileError(path, "cannot be opened", errno);
  if (S_ISDIR(info.st_mode)) return InvalidArgument(path + ": is a folder, not a file");
  if (!S_ISREG(info.st_mode)) return InvalidArgument(path + ": is not a regular file");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "cannot be opened", errno);
  close(fd);
  if (info.st_size == 0) return Corrupt(path + ": the file is empty");
  return {};
}

Status Resize(std::vector<uint8_t>* bytes, uint64_t size, const std::string& what) {
  try {
    bytes->resize(size);
  } catch (const std::exception&) {
    return {Code::kOutOfMemory, what + ": not enough memory for " + std::to_string(size) + " bytes"};
  }
  return {};
}

Status ReadFile(const std::string& path, uint64_t limit, std::vector<uint8_t>* bytes) {
  DISTIL_RETURN_IF_ERROR(CheckReadable(path));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "cannot be opened", errno);
  Status status;
  struct stat info;
  if (fstat(fd, &info) != 0) {
    status = FileError(path, "cannot be read", errno);
  } else if (static_cast<uint64_t>(info.st_size) > limit) {
    status = Corrupt(path + ": the file has " + std::to_string(info.st_size) + " bytes, more than the " +
                     std::to_string(limit) + " that make sense here");
  } else {
    status = Resize(bytes, static_cast<uint64_t>(info.st_size), path);
  }
  for (size_t done = 0; status.ok() && done < bytes->size();) {
    const ssize_t got = read(fd, bytes->data() + done, bytes->size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = FileError(path, "cannot be read", errno);
    if (got == 0) status = Corrupt(path + ": the file became shorter while it was read");
    if (got > 0) done += static_cast<size_t>(got);
  }
  close(fd);
  return status;
}

bool IsFolder(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool IsFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Status ListFolder(const std::string& path, std::vector<std::string>* names) {
  names->clear();
  DIR* folder = opendir(path.c_str());
  if (!folder) return FileError(path, "the folder cannot be read", errno);
  errno = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names->push_back(entry->d_name);
  }
  const int error = errno;
  closedir(folder);
  if (error != 0) return FileError(path, "the folder cannot be read", error);
  std::sort(names->begin(), names->end());
  return {};
}

std::string JoinPath(const std::string& folder, const std::string& name) {
  if (folder.empty() || folder.back() == '/') return folder + name;
  return folder + "/" + name;
}

std::string Printable(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

namespace {

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status AtomicFile::Begin(const std::string& path, uint64_t size) {
  static std::atomic<unsigned> counter{0};
  const std::string folder = FolderOf(path);
  if (path.empty() || path.back() == '/' || IsFolder(path)) {
    return InvalidArgument("'" + path + "': is a folder, not a file name to write to");
  }
  struct stat info;
  if (stat(folder.c_str(), &info) != 0) return FileError(path, "cannot be written, folder " + folder, errno);
  if (!S_ISDIR(info.st_mode)) return InvalidArgument(path + ": cannot be written: " + folder + " is not a folder");
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return InvalidArgument(path + ": cannot be written: it is not a regular file");
  }
  struct statvfs disk;
  if (statvfs(folder.c_str(), &disk) == 0) {
    const uint64_t room = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (room < size) {
      return IoError(path + ": cannot be written: the disk has " + std::to_string(room >> 20) +
                     " MiB left, but about " + std::to_string((size >> 20) + 1) + " MiB are needed");
    }
  }
  path_ = path;
  const size_t base = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  temporary_ = path.substr(0, base) + "." + path.substr(base) + ".tmp." + std::to_string(getpid()) + "." +
               std::to_string(counter++);
  unlink(temporary_.c_str());
  return {};
}

Status AtomicFile::Commit() {
  const int fd = open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path_, "cannot be written", errno);
  const int failed = fsync(fd) != 0 ? errno : 0;
  close(fd);
  if (failed) return FileError(path_, "cannot be written", failed);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return FileError(path_, "cannot be written", errno);
  temporary_.clear();
  const int folder = open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);  // best effort: some file systems refuse it
    close(folder);
  }
  return {};
}

}  // namespace distil::data
