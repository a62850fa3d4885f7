// libarchive in memory.
#include "data/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <memory>

#include "data/files.h"

namespace distil::data {
namespace {

struct Close {
  void operator()(struct archive* a) const { archive_read_free(a); }
};
using Reader = std::unique_ptr<struct archive, Close>;

Status Failed(const std::string& path, struct archive* a) {
  const char* cause = archive_error_string(a);
  return Corrupt(path + ": " + Printable(cause ? cause : "cannot be read"));
}

// The compressions that libarchive has in itself; some others start programs.
void SupportFilters(struct archive* a) {
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_zstd(a);
}

// The data of the current entry.
Status ReadEntry(struct archive* a, const std::string& name, uint64_t limit, std::vector<uint8_t>* bytes) {
  constexpr size_t kPiece = 1 << 20;
  bytes->clear();
  for (uint64_t size = 0;;) {
    DISTIL_RETURN_IF_ERROR(Resize(bytes, size + kPiece, name));
    const la_ssize_t got = archive_read_data(a, bytes->data() + size, kPiece);
    if (got < 0) return Failed(name, a);
    size += static_cast<uint64_t>(got);
    if (size > limit)
      return Corrupt(name + ": has more than the " + std::to_string(limit) + " bytes that make sense here");
    bytes->resize(size);
    if (got == 0) return {};
  }
}

}  // namespace

Status ReadArchive(const std::string& path, const std::vector<std::string>& names, uint64_t limit, FileMap* files) {
  DISTIL_RETURN_IF_ERROR(CheckReadable(path));
  Reader reader(archive_read_new());
  struct archive* a = reader.get();
  SupportFilters(a);
  archive_read_support_format_tar(a);  // and no "all": some formats refer to files on disk
  archive_read_support_format_zip(a);
  if (archive_read_open_filename(a, path.c_str(), 1 << 16) != ARCHIVE_OK) return Failed(path, a);
  while (true) {
    struct archive_entry* entry = nullptr;
    const int result = archive_read_next_header(a, &entry);
    if (result == ARCHIVE_EOF) return {};
    if (result < ARCHIVE_WARN) return Failed(path, a);
    const char* full = archive_entry_pathname(entry);
    if (!full || archive_entry_filetype(entry) != AE_IFREG) continue;
    std::string name = full;
    name = name.substr(name.find_last_of('/') + 1);
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (files->count(name)) return Corrupt(path + ": holds two files named " + name);
    DISTIL_RETURN_IF_ERROR(ReadEntry(a, path + ": " + name, limit, &(*files)[name]));
  }
}

Status ReadMaybeCompressed(const std::string& path, uint64_t limit, std::vector<uint8_t>* bytes) {
  DISTIL_RETURN_IF_ERROR(CheckReadable(path));
  Reader reader(archive_read_new());
  struct archive* a = reader.get();
  SupportFilters(a);
  archive_read_support_format_raw(a);
  struct archive_entry* entry = nullptr;
  if (archive_read_open_filename(a, path.c_str(), 1 << 16) != ARCHIVE_OK ||
      archive_read_next_header(a, &entry) < ARCHIVE_WARN) {
    return Failed(path, a);
  }
  return ReadEntry(a, path, limit, bytes);
}

}  // namespace distil::data
