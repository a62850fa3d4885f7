// Reading a file of distil's schema: attributes, labels, then images into RAM or left for streaming.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data/digest.h"
#include "data/files.h"
#include "data/h5.h"
#include "data/hdf5_file.h"
#include "data/stats.h"

namespace distil::data {
namespace {

constexpr uint64_t kPieceBytes = 4 << 20;  // of images, when a file is passed over

Status ReadText(hid_t file, const std::string& path, const char* name, std::string* text, bool* found) {
  std::vector<std::string> values;
  DISTIL_RETURN_IF_ERROR(H5ReadStrings(file, path, name, 1, &values, found));
  if (*found) *text = values[0];
  return {};
}

Status ReadAttributes(hid_t file, const std::string& path, Dataset* d) {
  int64_t version = 0, classes = 0;
  bool found = false;
  DISTIL_RETURN_IF_ERROR(H5ReadInt(file, path, "schema_version", &version, &found));
  if (!found) {
    return Corrupt(path + ": not in distil's schema (no attribute 'schema_version'); make one with 'import hdf5'");
  }
  if (version != kSchemaVersion) {
    return Unsupported(path + ": has schema_version " + std::to_string(version) + ", this program reads version " +
                       std::to_string(kSchemaVersion));
  }
  DISTIL_RETURN_IF_ERROR(H5ReadInt(file, path, "num_classes", &classes, &found));
  if (!found) return Corrupt(path + ": attribute 'num_classes' is missing");
  if (classes < 1 || classes > kMaxClasses) {
    return Corrupt(path + ": attribute 'num_classes' is " + std::to_string(classes) + ", expected 1 to " +
                   std::to_string(kMaxClasses));
  }
  d->num_classes = static_cast<int>(classes);
  std::string layout;
  DISTIL_RETURN_IF_ERROR(ReadText(file, path, "layout", &layout, &found));
  if (!found) d->warnings.push_back(path + ": attribute 'layout' is missing, NHWC is assumed");
  if (found && layout != "NHWC") {
    return Unsupported(path + ": attribute 'layout' is '" + Printable(layout) + "', expected 'NHWC'");
  }
  DISTIL_RETURN_IF_ERROR(H5ReadStrings(file, path, "class_names", kMaxClasses, &d->class_names, &found));
  if (!found) d->warnings.push_back(path + ": attribute 'class_names' is missing");
  bool has_mean = false, has_std = false;
  DISTIL_RETURN_IF_ERROR(H5ReadDoubles(file, path, "mean", 16, &d->mean, &has_mean));
  DISTIL_RETURN_IF_ERROR(H5ReadDoubles(file, path, "std", 16, &d->std, &has_std));
  if (!has_mean || !has_std) {
    d->mean.clear(), d->std.clear();
    d->warnings.push_back(path + ": attribute 'mean' or 'std' is missing, both are computed from the images");
  }
  DISTIL_RETURN_IF_ERROR(ReadText(file, path, "source_url", &d->source, &found));
  d->source = Printable(d->source);
  DISTIL_RETURN_IF_ERROR(ReadText(file, path, "sha256", &d->digest, &found));
  const bool hex = d->digest.size() == 64 && d->digest.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (found && !hex) return Corrupt(path + ": attribute 'sha256' is not 64 lower-case hexadecimal digits");
  if (!found) d->warnings.push_back(path + ": attribute 'sha256' is missing, damage would go unnoticed");
  return {};
}

void WarnOfChunking(const H5Array& images, Dataset* d) {
  if (images.layout != H5D_CHUNKED) return;
  uint64_t bytes = images.type_size;
  bool splits_samples = false;
  for (size_t i = 0; i < images.chunk.size(); ++i) {
    bytes *= images.chunk[i];
    splits_samples |= i > 0 && images.chunk[i] < images.shape[i];
  }
  if (splits_samples) d->warnings.push_back(images.name + ": chunks cut samples apart, reading will be slow");
  if (images.chunk[0] > 1 && bytes > (1u << 20)) {
    d->warnings.push_back(images.name + ": chunks of " + std::to_string(bytes >> 10) +
                          " KiB make shuffled reading slow; 64 to 256 KiB are better");
  }
  if (bytes < (16u << 10) && images.shape[0] > images.chunk[0]) {
    d->warnings.push_back(images.name + ": chunks of only " + std::to_string(bytes) +
                          " bytes make reading slow; 64 to 256 KiB are better");
  }
}

// Checks the two arrays of one split and reads its labels.
Status ReadSplit(hid_t file, const std::string& path, SplitKind kind, Dataset* d, H5Array* images) {
  const std::string group = std::string("/") + SplitName(kind);
  bool exists = false;
  DISTIL_RETURN_IF_ERROR(H5Exists(file, path, group, &exists));
  if (!exists) {
    if (kind == SplitKind::kVal) return {};
    return Corrupt(path + ": there is no group '" + group + "'");
  }
  H5Array labels;
  for (const char* name : {"/images", "/labels"}) {
    DISTIL_RETURN_IF_ERROR(H5Exists(file, path, group + name, &exists));
    if (!exists) return Corrupt(path + ": there is no dataset '" + group + name + "'");
  }
  DISTIL_RETURN_IF_ERROR(H5OpenArray(file, path, group + "/images", images));
  DISTIL_RETURN_IF_ERROR(H5OpenArray(file, path, group + "/labels", &labels));
  if (images->shape.size() != 4) {
    return Corrupt(images->name + ": has shape " + images->ShapeText() + ", expected (N, height, width, channels)");
  }
  if (images->TypeName() != "uint8") {
    return Corrupt(images->name + ": holds " + images->TypeName() + " values, expected uint8");
  }
  const auto& s = images->shape;
  if (s[0] == 0) return Corrupt(images->name + ": has no samples");
  if (s[1] < 1 || s[2] < 1 || s[1] > kMaxSide || s[2] > kMaxSide || (s[3] != 1 && s[3] != 3)) {
    return Corrupt(images->name + ": has shape " + images->ShapeText() + ", expected (N, height, width, 1 or 3)");
  }
  if (kind == SplitKind::kTrain) {
    d->height = static_cast<int>(s[1]), d->width = static_cast<int>(s[2]), d->channels = static_cast<int>(s[3]);
  } else if (static_cast<int>(s[1]) != d->height || static_cast<int>(s[2]) != d->width ||
             static_cast<int>(s[3]) != d->channels) {
    return Corrupt(images->name + ": has shape " + images->ShapeText() + ", but training images are " +
                   std::to_string(d->height) + "x" + std::to_string(d->width) + "x" + std::to_string(d->channels));
  }
  if (labels.shape.size() != 1 || labels.shape[0] != s[0]) {
    return Corrupt(labels.name + ": has shape " + labels.ShapeText() + ", expected (" + std::to_string(s[0]) +
                   ") as there are that many images");
  }
  WarnOfChunking(*images, d);
  return H5ReadLabels(labels, false, d->num_classes, &d->split(kind).labels);
}

// The images of every split in pieces, in order, to `use`.
template <typename Use>
Status PassOver(const std::array<H5Array, 3>& images, const Dataset& d, Use use) {
  std::vector<uint8_t> piece;
  for (SplitKind kind : kAllSplits) {
    const H5Array& array = images[static_cast<size_t>(kind)];
    const Split& split = d.split(kind);
    if (split.size() == 0) continue;
    const uint64_t rows = std::max<uint64_t>(1, kPieceBytes / d.sample_bytes());
    for (uint64_t first = 0; first < array.shape[0]; first += rows) {
      const uint64_t count = std::min<uint64_t>(rows, array.shape[0] - first);
      const uint8_t* bytes = split.images.data() + first * d.sample_bytes();
      if (split.streamed()) {
        DISTIL_RETURN_IF_ERROR(Resize(&piece, count * d.sample_bytes(), array.name));
        DISTIL_RETURN_IF_ERROR(H5ReadRows(array, first, count, H5T_NATIVE_UINT8, piece.data()));
        bytes = piece.data();
      }
      use(kind, first == 0, bytes, count * d.sample_bytes());
    }
  }
  return {};
}

}  // namespace

Status OpenDataset(const std::string& path, const ReadOptions& options, Dataset* dataset) {
  H5Scope scope;
  Dataset d;
  H5Id file;
  std::array<H5Array, 3> images;
  DISTIL_RETURN_IF_ERROR(H5OpenFile(path, &file));
  DISTIL_RETURN_IF_ERROR(ReadAttributes(file, path, &d));
  uint64_t total = 0;
  for (SplitKind kind : kAllSplits) {
    DISTIL_RETURN_IF_ERROR(ReadSplit(file, path, kind, &d, &images[static_cast<size_t>(kind)]));
    total += static_cast<uint64_t>(d.split(kind).size()) * d.sample_bytes();
  }
  const bool stream = options.mode == ReadOptions::Mode::kStream ||
                      (options.mode == ReadOptions::Mode::kAuto && total > options.ram_limit);
  for (SplitKind kind : kAllSplits) {
    Split& split = d.split(kind);
    const H5Array& array = images[static_cast<size_t>(kind)];
    if (split.size() == 0) continue;
    if (stream) {
      split.file = path;
      continue;
    }
    DISTIL_RETURN_IF_ERROR(Resize(&split.images, static_cast<uint64_t>(split.size()) * d.sample_bytes(), array.name));
    DISTIL_RETURN_IF_ERROR(H5ReadRows(array, 0, array.shape[0], H5T_NATIVE_UINT8, split.images.data()));
  }
  if (d.mean.empty()) {
    ChannelStats stats(d.channels);
    DISTIL_RETURN_IF_ERROR(PassOver(images, d, [&](SplitKind kind, bool, const uint8_t* bytes, size_t size) {
      if (kind == SplitKind::kTrain) stats.Add(bytes, size);
    }));
    stats.Get(&d.mean, &d.std);
  }
  DISTIL_RETURN_IF_ERROR(Validate(d, path));
  if (options.verify_digest || d.digest.empty()) {
    ContentDigest content(d);
    DISTIL_RETURN_IF_ERROR(PassOver(images, d, [&](SplitKind kind, bool begins, const uint8_t* bytes, size_t size) {
      if (begins) content.BeginSplit(kind, d.split(kind).labels);
      content.Images(bytes, size);
    }));
    const std::string digest = content.Finish(d);
    if (!d.digest.empty() && d.digest != digest) {
      return Corrupt(path + ": the content does not match its sha256 attribute (stored " + d.digest.substr(0, 12) +
                     "..., found " + digest.substr(0, 12) + "...): the file is damaged or was changed");
    }
    d.digest = digest;
  }
  *dataset = std::move(d);
  return {};
}

Status ReadStorage(const std::string& path, SplitKind kind, StorageInfo* info) {
  H5Scope scope;
  H5Id file;
  H5Array array;
  DISTIL_RETURN_IF_ERROR(H5OpenFile(path, &file));
  DISTIL_RETURN_IF_ERROR(H5OpenArray(file, path, std::string("/") + SplitName(kind) + "/images", &array));
  *info = StorageInfo();
  info->layout = array.layout == H5D_CHUNKED ? "chunked" : array.layout == H5D_COMPACT ? "compact" : "contiguous";
  if (array.layout == H5D_CHUNKED) {
    info->chunk_bytes = array.type_size;
    for (hsize_t n : array.chunk) info->chunk_bytes *= n;
  }
  info->filters = array.filters;
  info->stored_bytes = array.stored_bytes;
  return {};
}

}  // namespace distil::data
