// HDF5 plumbing: see h5.h.
#include "data/h5.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/files.h"

namespace distil::data {
namespace {

std::recursive_mutex& Lock() {
  static std::recursive_mutex* lock = new std::recursive_mutex;  // outlives every thread
  return *lock;
}

herr_t KeepInnermost(unsigned n, const H5E_error2_t* error, void* cause) {
  if (n == 0 && error->desc) *static_cast<std::string*>(cause) = error->desc;
  return 0;
}

}  // namespace

H5Scope::H5Scope() : lock_(Lock()) { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

H5Scope::~H5Scope() { H5Eclear2(H5E_DEFAULT); }

std::string H5Cause() {
  std::string cause;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, KeepInnermost, &cause);
  H5Eclear2(H5E_DEFAULT);
  return cause.empty() ? "HDF5 gives no reason" : Printable(cause);
}

H5Id& H5Id::operator=(H5Id&& other) noexcept {
  if (this != &other) {
    Close();
    id_ = other.release();
  }
  return *this;
}

hid_t H5Id::release() {
  const hid_t id = id_;
  id_ = -1;
  return id;
}

bool H5Id::Close() {
  if (id_ < 0) return true;
  const hid_t id = release();
  return (H5Iget_type(id) == H5I_FILE ? H5Fclose(id) : H5Idec_ref(id)) >= 0;
}

Status H5OpenFile(const std::string& path, H5Id* file) {
  DISTIL_RETURN_IF_ERROR(CheckReadable(path));
  H5Id access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_file_locking(access, false,
                      true);  // a lock fails on some network file systems, and reading needs none
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  H5Pset_cache(access, 0, 1031, 32 << 20,
               0.75);  // of chunks, per dataset; the default of 1 MiB may hold none
  *file = H5Id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (!file->ok()) return Corrupt(path + ": not a readable HDF5 file: " + H5Cause());
  return {};
}

// --- arrays
// --------------------------------------------------------------------------------------------------------

std::string H5Array::TypeName() const {
  if (type_class == H5T_INTEGER) return (is_signed ? "int" : "uint") + std::to_string(8 * type_size);
  if (type_class == H5T_FLOAT) return "float" + std::to_string(8 * type_size);
  if (type_class == H5T_STRING) return "string";
  return "non-numeric";
}

std::string H5Array::ShapeText() const {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

uint64_t H5Array::elements() const {
  uint64_t n = 1;
  for (hsize_t d : shape) n *= d;  // checked against overflow when it was opened
  return n;
}

Status H5Exists(hid_t file, const std::string& file_name, const std::string& path, bool* exists) {
  *exists = false;
  for (size_t slash = 1; slash != std::string::npos;) {  // H5Lexists wants every group on the way to exist
    slash = path.find('/', slash);
    const htri_t found = H5Lexists(file, path.substr(0, slash).c_str(), H5P_DEFAULT);
    if (found < 0) return Corrupt(file_name + ": " + Printable(path) + " cannot be looked up: " + H5Cause());
    if (found == 0) return {};
    if (slash != std::string::npos) ++slash;
  }
  *exists = true;
  return {};
}

namespace {

Status CheckHardLinks(hid_t file, const std::string& name, const std::string& path) {
  for (size_t slash = path[0] == '/' ? 1 : 0; slash != std::string::npos;) {
    slash = path.find('/', slash);
    H5L_info_t info;
    if (H5Lget_info(file, path.substr(0, slash).c_str(), &info, H5P_DEFAULT) < 0) {
      return NotFound(name + ": there is no such dataset in the file");
    }
    if (info.type != H5L_TYPE_HARD)
      return Unsupported(name + ": is a link that leads elsewhere, which is not followed");
    if (slash != std::string::npos) ++slash;
  }
  return {};
}

Status CheckFilters(hid_t plist, const std::string& name, std::string* text) {
  const int n = H5Pget_nfilters(plist);
  for (int i = 0; i < n; ++i) {
    unsigned flags = 0, config = 0, values[8] = {};
    size_t count = 8;
    const H5Z_filter_t filter =
        H5Pget_filter2(plist, static_cast<unsigned>(i), &flags, &count, values, 0, nullptr, &config);
    if (!text->empty()) *text += ", ";
    if (filter == H5Z_FILTER_DEFLATE) {
      *text += "deflate " + std::to_string(values[0]);
    } else if (filter == H5Z_FILTER_SHUFFLE) {
      *text += "shuffle";
    } else if (filter == H5Z_FILTER_FLETCHER32) {
      *text += "fletcher32";
    } else {
      return Unsupported(
          name + ": packed with filter " + std::to_string(filter) +
          ", but only HDF5's deflate, shuffle and fletcher32 are read; rewrite it with h5repack -f GZIP=1");
    }
  }
  return {};
}

// Every byte that the shape promises must be in the file: a hostile header could otherwise ask for any amount
// of memory.
Status CheckStored(H5Array* array, hid_t plist) {
  uint64_t bytes = array->type_size;
  for (hsize_t d : array->shape) {
    if (d != 0 && bytes > UINT64_MAX / 4 / d) return Corrupt(array->name + ": impossible shape " + array->ShapeText());
    bytes *= d;
  }
  array->layout = H5Pget_layout(plist);
  array->stored_bytes = H5Dget_storage_size(array->id);
  const std::string missing = array->name + ": shape " + array->ShapeText() + " promises " + std::to_string(bytes) +
                              " bytes, but the file stores only " + std::to_string(array->stored_bytes);
  if (array->layout == H5D_CONTIGUOUS || array->layout == H5D_COMPACT) {
    if (H5Pget_external_count(plist) != 0) return Unsupported(array->name + ": its values lie in other files");
    if (array->stored_bytes < bytes) return Corrupt(missing);
    return {};
  }
  if (array->layout != H5D_CHUNKED) return Unsupported(array->name + ": a virtual dataset is not read");
  array->chunk.resize(array->shape.size());
  if (H5Pget_chunk(plist, static_cast<int>(array->chunk.size()), array->chunk.data()) < 0) {
    return Corrupt(array->name + ": the chunk shape cannot be read: " + H5Cause());
  }
  DISTIL_RETURN_IF_ERROR(CheckFilters(plist, array->name, &array->filters));
  hsize_t want = 1, have = 0;
  uint64_t chunk_bytes = array->type_size;
  for (size_t i = 0; i < array->chunk.size(); ++i) {
    want *= (array->shape[i] + array->chunk[i] - 1) / array->chunk[i];
    if (array->chunk[i] > UINT64_MAX / chunk_bytes) return Corrupt(array->name + ": impossible chunk shape");
    chunk_bytes *= array->chunk[i];
  }
  if (chunk_bytes > (1ull << 30)) {
    return Unsupported(array->name + ": chunks of " + std::to_string(chunk_bytes >> 20) +
                       " MiB are too large to read; rewrite it with smaller ones (h5repack -l CHUNK=...)");
  }
  constexpr uint64_t kBestDeflate = 1100;  // deflate cannot pack better than about 1032 to 1
  if (bytes / kBestDeflate > array->stored_bytes) return Corrupt(missing);
  H5Id space(H5Dget_space(array->id));
  if (H5Dget_num_chunks(array->id, space, &have) < 0) {
    return Corrupt(array->name + ": the chunk index cannot be read: " + H5Cause());
  }
  if (have < want) {
    return Corrupt(array->name + ": only " + std::to_string(have) + " of " + std::to_string(want) +
                   " chunks were ever written");
  }
  return {};
}

}  // namespace

Status H5OpenArray(hid_t file, const std::string& file_name, const std::string& path, H5Array* array) {
  *array = H5Array();
  array->name = file_name + ": " + Printable(path);
  DISTIL_RETURN_IF_ERROR(CheckHardLinks(file, array->name, path));
  array->id = H5Id(H5Oopen(file, path.c_str(), H5P_DEFAULT));
  if (!array->id.ok()) return Corrupt(array->name + ": cannot be opened: " + H5Cause());
  if (H5Iget_type(array->id) != H5I_DATASET) return Corrupt(array->name + ": is a group, not a dataset");
  H5Id space(H5Dget_space(array->id)), type(H5Dget_type(array->id)), plist(H5Dget_create_plist(array->id));
  if (!space.ok() || !type.ok() || !plist.ok()) return Corrupt(array->name + ": damaged: " + H5Cause());
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NULL) return Corrupt(array->name + ": has no values");
  array->shape.resize(static_cast<size_t>(rank));
  if (rank > 0) H5Sget_simple_extent_dims(space, array->shape.data(), nullptr);
  array->type_class = H5Tget_class(type);
  array->type_size = H5Tget_size(type);
  array->is_signed = array->type_class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2;
  if ((array->type_class != H5T_INTEGER && array->type_class != H5T_FLOAT) || array->type_size < 1 ||
      array->type_size > 8) {
    return Corrupt(array->name + ": holds " + array->TypeName() + " values where numbers are expected");
  }
  return CheckStored(array, plist);
}

Status H5ReadRows(const H5Array& array, uint64_t first, uint64_t count, hid_t memory_type, void* out) {
  if (count == 0) return {};
  std::vector<hsize_t> start(array.shape.size(), 0), size = array.shape;
  if (size.empty() || first > size[0] || count > size[0] - first) {
    return Internal(array.name + ": rows beyond the end were asked for");
  }
  start[0] = first, size[0] = count;
  H5Id file_space(H5Dget_space(array.id));
  H5Id memory_space(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr));
  if (H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr) < 0 ||
      H5Dread(array.id, memory_type, memory_space, file_space, H5P_DEFAULT, out) < 0) {
    return Corrupt(array.name + ": cannot be read: " + H5Cause());
  }
  return {};
}

Status H5ReadLabels(const H5Array& array, bool allow_column, int64_t limit, std::vector<int32_t>* labels) {
  const bool column = array.shape.size() == 2 && array.shape[1] == 1;
  if (array.shape.size() != 1 && !(column && allow_column)) {
    return Corrupt(array.name + ": labels have shape " + array.ShapeText() + ", expected (N)");
  }
  if (array.type_class != H5T_INTEGER) {
    return Corrupt(array.name + ": labels are " + array.TypeName() + ", expected integers");
  }
  const uint64_t n = array.shape[0];
  if (n > UINT32_MAX) return Corrupt(array.name + ": more than 2^32 labels");
  constexpr uint64_t kPiece = 1 << 16;
  std::vector<int64_t> piece(std::min(n, kPiece));
  labels->clear();
  labels->reserve(n);
  for (uint64_t first = 0; first < n; first += kPiece) {
    const uint64_t count = std::min(kPiece, n - first);
    DISTIL_RETURN_IF_ERROR(H5ReadRows(array, first, count, H5T_NATIVE_INT64, piece.data()));
    for (uint64_t i = 0; i < count; ++i) {
      if (piece[i] < 0 || piece[i] >= limit) {
        return Corrupt(array.name + ": the label at index " + std::to_string(first + i) + " is " +
                       std::to_string(piece[i]) + ", but labels must be from 0 to " + std::to_string(limit - 1));
      }
      labels->push_back(static_cast<int32_t>(piece[i]));
    }
  }
  return {};
}

// --- streaming
// -------------------------------------------------------------------------------------------------

H5Images::~H5Images() {
  H5Scope scope;
  array_.id.Close();
  file_.Close();
}

Status H5Images::Open(const std::string& path, const std::string& split, int height, int width, int channels,
                      int64_t size) {
  H5Scope scope;
  DISTIL_RETURN_IF_ERROR(H5OpenFile(path, &file_));
  DISTIL_RETURN_IF_ERROR(H5OpenArray(file_, path, "/" + split + "/images", &array_));
  const std::vector<hsize_t> want = {static_cast<hsize_t>(size), static_cast<hsize_t>(height),
                                     static_cast<hsize_t>(width), static_cast<hsize_t>(channels)};
  if (array_.shape != want || array_.type_class != H5T_INTEGER || array_.type_size != 1) {
    return Corrupt(array_.name + ": changed since the file was first read: now " + array_.TypeName() + " " +
                   array_.ShapeText());
  }
  return {};
}

Status H5Images::Read(int64_t first, int64_t count, uint8_t* out) {
  H5Scope scope;
  return H5ReadRows(array_, static_cast<uint64_t>(first), static_cast<uint64_t>(count), H5T_NATIVE_UINT8, out);
}

}  // namespace distil::data
