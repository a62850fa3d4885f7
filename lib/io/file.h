// Files: read whole, written so that the final name never holds half of one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil {

// Regular files only: a device or a pipe could go on for ever.
Status ReadFile(const std::string& path, std::vector<uint8_t>* out);

// A new file at `path`, or nothing: writes "<path>.tmp-<process>-<number>" beside it, which Commit brings to disk
// (fsync of file and folder) and renames. Without Commit the temporary file disappears.
class AtomicFile {
 public:
  AtomicFile() = default;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();
  Status Open(const std::string& path);
  Status Write(const void* data, size_t bytes);
  Status Commit();

 private:
  Status Failed(const char* what);
  std::string path_, temporary_;
  int file_ = -1;
};

}  // namespace distil
