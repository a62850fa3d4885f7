// Files as the harness needs them: whole-file reads with a limit, atomic writes, appended lines that survive
// a kill, and folder walks in a fixed order. Every message names the path and what the system said.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace distil::harness {

Status ReadFile(const std::string& path, std::string* out, uint64_t limit = 256u << 20);

// Writes to `path`.tmp, syncs and renames, so that `path` is either the old file or the whole new one.
Status WriteFileAtomic(const std::string& path, std::string_view content);

Status MakeFolders(const std::string& path);
bool FileExists(const std::string& path);  // a regular file
bool FolderExists(const std::string& path);
Status RemoveFile(const std::string& path);  // absent is fine

// Every regular file called `name` below `folder`, as paths, sorted. Unreadable folders are errors.
Status FindFiles(const std::string& folder, const std::string& name, std::vector<std::string>* out);
// Names (not paths) in `folder` that end in `suffix`, sorted.
Status ListFolder(const std::string& folder, const std::string& suffix, std::vector<std::string>* out);

std::string JoinPath(const std::string& a, const std::string& b);
std::string ParentPath(const std::string& path);

// A file that grows by whole records. Append writes them in one call and syncs it to the disk.
class AppendFile {
 public:
  AppendFile() = default;
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Opens for appending, first replacing what is there by `keep` (nothing is lost if the process dies here).
  Status Open(const std::string& path, std::string_view keep);
  Status Append(std::string_view record);

 private:
  int fd_ = -1;
  std::string path_;
};

}  // namespace distil::harness
