// Files from the operating system's side: read whole, replace atomically, and errno as one sentence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::data {

// "PATH: cannot be opened: Permission denied", with the code that fits `error` (an errno).
Status FileError(const std::string& path, const std::string& failed, int error);

// `path` is a regular file that may be read and is not empty.
Status CheckReadable(const std::string& path);

// The whole file, refused beyond `limit` bytes.
Status ReadFile(const std::string& path, uint64_t limit, std::vector<uint8_t>* bytes);

// vector::resize with an error instead of an exception when memory is short; `what` opens the message.
Status Resize(std::vector<uint8_t>* bytes, uint64_t size, const std::string& what);

bool IsFolder(const std::string& path);
bool IsFile(const std::string& path);

// Entries of a folder in byte order, without "." and those that begin with a dot.
Status ListFolder(const std::string& path, std::vector<std::string>* names);

// "folder" + "name" with one slash between.
std::string JoinPath(const std::string& folder, const std::string& name);

// Control characters replaced by '?', so that names from files are safe to print.
std::string Printable(const std::string& text);

// A file that appears under its name only when it is whole: write to temporary(), then Commit() (fsync,
// rename, fsync of the folder). Without Commit the temporary file is removed.
class AtomicFile {
 public:
  AtomicFile() = default;
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Checks the folder and picks a temporary name in it; makes nothing. `size` is what the file will roughly
  // hold: a disk that visibly lacks the room is refused here, before hours of decoding.
  Status Begin(const std::string& path, uint64_t size);
  const std::string& temporary() const { return temporary_; }
  Status Commit();

 private:
  std::string path_, temporary_;
};

}  // namespace distil::data
