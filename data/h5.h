// HDF5's C API made safe: handles that close themselves, one lock, silence on stderr, and errors as
// sentences.
//
// Every use of HDF5 in distil holds an H5Scope: libhdf5 need not be thread-safe. HDF5 is silent in a thread
// from the first H5Scope on, for good: after a damaged file it would otherwise print a complaint even at
// exit.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::data {

class H5Scope {
 public:
  H5Scope();
  ~H5Scope();
  H5Scope(const H5Scope&) = delete;
  H5Scope& operator=(const H5Scope&) = delete;

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

// The innermost cause on HDF5's error stack, e.g. "file signature not found"; clears the stack.
std::string H5Cause();

// Any HDF5 identifier; the close function is picked by its type.
class H5Id {
 public:
  H5Id() = default;
  explicit H5Id(hid_t id) : id_(id) {}
  H5Id(H5Id&& other) noexcept : id_(other.release()) {}
  H5Id& operator=(H5Id&& other) noexcept;
  ~H5Id() { Close(); }
  bool ok() const { return id_ >= 0; }
  operator hid_t() const { return id_; }
  hid_t release();
  bool Close();  // false when HDF5 could not (a flush failed, say)

 private:
  hid_t id_ = -1;
};

// Open for reading, without a file lock.
Status H5OpenFile(const std::string& path, H5Id* file);

// An array of the file, opened and checked: a hard link to a dataset whose bytes lie in this very file,
// written in full, packed with HDF5's own filters only. `path` like "/train/images".
struct H5Array {
  H5Id id;
  std::string name;  // "FILE: /train/images", opens messages
  std::vector<hsize_t> shape;
  H5T_class_t type_class = H5T_NO_CLASS;
  size_t type_size = 0;
  bool is_signed = false;
  H5D_layout_t layout = H5D_LAYOUT_ERROR;
  std::vector<hsize_t> chunk;
  std::string filters;
  uint64_t stored_bytes = 0;

  std::string TypeName() const;   // "uint8", "float32", ...
  std::string ShapeText() const;  // "(50000, 32, 32, 3)"
  uint64_t elements() const;
};
Status H5Exists(hid_t file, const std::string& file_name, const std::string& path, bool* exists);
Status H5OpenArray(hid_t file, const std::string& file_name, const std::string& path, H5Array* array);

// Rows [first, first + count) of the leading dimension, as `memory_type`.
Status H5ReadRows(const H5Array& array, uint64_t first, uint64_t count, hid_t memory_type, void* out);

// Integer labels of shape (N), or (N, 1) when `allow_column`, as int32, each within [0, limit).
Status H5ReadLabels(const H5Array& array, bool allow_column, int64_t limit, std::vector<int32_t>* labels);

// Root attributes. *found tells an absent attribute, which is no error, from a wrong one, which is.
Status H5ReadInt(hid_t file, const std::string& file_name, const char* name, int64_t* value, bool* found);
Status H5ReadDoubles(hid_t file, const std::string& file_name, const char* name, size_t limit,
                     std::vector<double>* values, bool* found);
Status H5ReadStrings(hid_t file, const std::string& file_name, const char* name, size_t limit,
                     std::vector<std::string>* values, bool* found);

// Images of one split of a file in distil's schema, row by row; used by the reader and by streaming.
class H5Images {
 public:
  ~H5Images();
  Status Open(const std::string& path, const std::string& split, int height, int width, int channels, int64_t size);
  Status Read(int64_t first, int64_t count, uint8_t* out);

 private:
  H5Id file_;
  H5Array array_;
};

}  // namespace distil::data
