// Root attributes of an HDF5 file, read with their types and sizes checked first.
#include <algorithm>
#include <cstring>

#include "data/files.h"
#include "data/h5.h"

namespace distil::data {
namespace {

// Opens attribute `name` of the root group as a scalar or one-dimensional array of at most `limit` values.
Status Open(hid_t file, const std::string& what, const char* name, size_t limit, H5Id* attribute, H5Id* type,
            size_t* count, bool* found) {
  const htri_t exists = H5Aexists(file, name);
  if (exists < 0) return Corrupt(what + " cannot be looked up: " + H5Cause());
  *found = exists > 0;
  if (!*found) return {};
  *attribute = H5Id(H5Aopen(file, name, H5P_DEFAULT));
  if (!attribute->ok()) return Corrupt(what + " cannot be opened: " + H5Cause());
  H5Id space(H5Aget_space(*attribute));
  *type = H5Id(H5Aget_type(*attribute));
  if (!space.ok() || !type->ok()) return Corrupt(what + " is damaged: " + H5Cause());
  const int rank = H5Sget_simple_extent_ndims(space);
  const H5S_class_t kind = H5Sget_simple_extent_type(space);
  const hssize_t n = H5Sget_simple_extent_npoints(space);
  if (rank > 1 || n < 1 || (kind != H5S_SCALAR && kind != H5S_SIMPLE)) {
    return Corrupt(what + " must be one value or a list of values");
  }
  if (static_cast<uint64_t>(n) > limit) {
    return Corrupt(what + " has " + std::to_string(n) + " values, expected at most " + std::to_string(limit));
  }
  *count = static_cast<size_t>(n);
  return {};
}

std::string Name(const std::string& file_name, const char* name) { return file_name + ": attribute '" + name + "'"; }

}  // namespace

Status H5ReadInt(hid_t file, const std::string& file_name, const char* name, int64_t* value, bool* found) {
  const std::string what = Name(file_name, name);
  H5Id attribute, type;
  size_t count = 0;
  DISTIL_RETURN_IF_ERROR(Open(file, what, name, 1, &attribute, &type, &count, found));
  if (!*found) return {};
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) > 8) return Corrupt(what + " is not an integer");
  if (H5Aread(attribute, H5T_NATIVE_INT64, value) < 0) return Corrupt(what + " cannot be read: " + H5Cause());
  return {};
}

Status H5ReadDoubles(hid_t file, const std::string& file_name, const char* name, size_t limit,
                     std::vector<double>* values, bool* found) {
  const std::string what = Name(file_name, name);
  H5Id attribute, type;
  size_t count = 0;
  DISTIL_RETURN_IF_ERROR(Open(file, what, name, limit, &attribute, &type, &count, found));
  if (!*found) return {};
  const H5T_class_t kind = H5Tget_class(type);
  if ((kind != H5T_FLOAT && kind != H5T_INTEGER) || H5Tget_size(type) > 16) return Corrupt(what + " is not numeric");
  values->resize(count);
  if (H5Aread(attribute, H5T_NATIVE_DOUBLE, values->data()) < 0) {
    return Corrupt(what + " cannot be read: " + H5Cause());
  }
  return {};
}

Status H5ReadStrings(hid_t file, const std::string& file_name, const char* name, size_t limit,
                     std::vector<std::string>* values, bool* found) {
  constexpr size_t kLongest = 1 << 16;
  const std::string what = Name(file_name, name);
  H5Id attribute, type;
  size_t count = 0;
  DISTIL_RETURN_IF_ERROR(Open(file, what, name, limit, &attribute, &type, &count, found));
  if (!*found) return {};
  values->clear();
  if (H5Tget_class(type) != H5T_STRING) return Corrupt(what + " is not text");
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> pointers(count, nullptr);
    H5Id memory(H5Tcopy(H5T_C_S1));
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (H5Aread(attribute, memory, pointers.data()) < 0) return Corrupt(what + " cannot be read: " + H5Cause());
    for (char* p : pointers) values->push_back(p ? std::string(p, strnlen(p, kLongest)) : "");
    for (char* p : pointers) H5free_memory(p);
    return {};
  }
  const size_t size = H5Tget_size(type);
  if (size < 1 || size > kLongest) return Corrupt(what + " has text of impossible length " + std::to_string(size));
  std::vector<char> bytes(count * size);
  if (bytes.size() > (64u << 20)) return Corrupt(what + " is too large");
  H5Id memory(H5Tcopy(type));
  if (H5Aread(attribute, memory, bytes.data()) < 0) return Corrupt(what + " cannot be read: " + H5Cause());
  for (size_t i = 0; i < count; ++i) {
    std::string text(bytes.data() + i * size, strnlen(bytes.data() + i * size, size));
    if (H5Tget_strpad(type) == H5T_STR_SPACEPAD) text.erase(text.find_last_not_of(' ') + 1);
    values->push_back(text);
  }
  return {};
}

}  // namespace distil::data
