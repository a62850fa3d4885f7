// HDF5 files with other people's names and layouts. What is not certain is asked for, never guessed.
#include <algorithm>
#include <cmath>
#include <string>

#include "data/files.h"
#include "data/h5.h"
#include "data/importers.h"

namespace distil::data {
namespace {

using Names = std::array<std::pair<std::string, std::string>, 3>;  // images, labels by SplitKind

// Every dataset of the file, for messages and for finding known names.
herr_t Collect(hid_t, const char* name, const H5O_info_t* info, void* out) {
  auto* names = static_cast<std::vector<std::string>*>(out);
  if (info->type == H5O_TYPE_DATASET && names->size() < 1000) names->push_back(std::string("/") + name);
  return 0;
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 12; ++i) text += (i ? ", " : "") + Printable(names[i]);
  return names.size() > 12 ? text + ", ..." : text;
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

// The one dataset of the file that is called like one of `known` (any case); empty when there is none.
Status FindKnown(const std::string& path, const std::vector<std::string>& names, const std::vector<std::string>& known,
                 const char* option, std::string* found) {
  std::vector<std::string> hits;
  for (const auto& name : names) {
    if (std::find(known.begin(), known.end(), Lower(name)) != known.end()) hits.push_back(name);
  }
  if (hits.size() > 1) {
    return InvalidArgument(path + ": " + hits[0] + " and " + hits[1] + " could both be meant; choose with " + option);
  }
  if (hits.size() == 1) *found = hits[0];
  return {};
}

const char* kImagesOption[3] = {"train_images", "val_images", "test_images"};
const char* kLabelsOption[3] = {"train_labels", "val_labels", "test_labels"};

// Fills what the options leave open for the split `kind` of `path`. `alone`: the file holds this split only.
Status FindNames(const std::string& path, hid_t file, SplitKind kind, bool alone,
                 std::pair<std::string, std::string>* names) {
  const auto s = static_cast<size_t>(kind);
  std::vector<std::string> all;
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, Collect, &all, H5O_INFO_BASIC);
  const std::string split = SplitName(kind);
  std::vector<std::string> images = {"/x_" + split, "/" + split + "_x", "/" + split + "/images", "/" + split + "/x",
                                     "/" + split + "_images"};
  std::vector<std::string> labels = {"/y_" + split, "/" + split + "_y", "/" + split + "/labels", "/" + split + "/y",
                                     "/" + split + "_labels"};
  if (kind == SplitKind::kVal) images.push_back("/x_valid"), labels.push_back("/y_valid");
  if (alone) {
    for (const char* name : {"/data", "/images", "/x"}) images.push_back(name);
    for (const char* name : {"/label", "/labels", "/y"}) labels.push_back(name);
  }
  if (names->first.empty()) DISTIL_RETURN_IF_ERROR(FindKnown(path, all, images, kImagesOption[s], &names->first));
  if (names->second.empty()) DISTIL_RETURN_IF_ERROR(FindKnown(path, all, labels, kLabelsOption[s], &names->second));
  if (names->first.empty() != names->second.empty() || (names->first.empty() && kind == SplitKind::kTrain)) {
    return InvalidArgument(path + ": cannot tell which datasets hold the " + split + " split; say so with " +
                           kImagesOption[s] + " and " + kLabelsOption[s] + " (the file has: " + Join(all) + ")");
  }
  return {};
}

enum class Order { kNhwc, kNchw };

struct Geometry {
  Order order = Order::kNhwc;
  uint64_t h = 0, w = 0, c = 0;
};

bool IsChannels(uint64_t n) { return n == 1 || n == 3; }

Status FindGeometry(const H5Array& a, const Hdf5Options& o, Geometry* g) {
  using Layout = Hdf5Options::Layout;
  const auto& s = a.shape;
  const std::string shape = a.name + ": shape " + a.ShapeText();
  if (s.size() == 2) {
    if (o.layout == Layout::kUnknown || o.height < 1 || o.width < 1 || o.channels < 1) {
      return InvalidArgument(shape +
                             " does not tell how a row becomes an image; say so with height, width, channels "
                             "and layout (nhwc or nchw)");
    }
    *g = {o.layout == Layout::kNchw ? Order::kNchw : Order::kNhwc, static_cast<uint64_t>(o.height),
          static_cast<uint64_t>(o.width), static_cast<uint64_t>(o.channels)};
    if (g->h * g->w * g->c != s[1]) {
      return InvalidArgument(shape + " does not fit images of " + std::to_string(o.height) + "x" +
                             std::to_string(o.width) + "x" + std::to_string(o.channels));
    }
  } else if (s.size() == 3) {
    *g = {Order::kNhwc, s[1], s[2], 1};
  } else if (s.size() == 4) {
    Layout layout = o.layout;
    if (layout == Layout::kUnknown) {
      const bool last = IsChannels(s[3]), first = IsChannels(s[1]);
      if (last == first) {
        return InvalidArgument(shape +
                               " does not tell whether images are NHWC or NCHW; say so with layout (nhwc or nchw)");
      }
      layout = last ? Layout::kNhwc : Layout::kNchw;
    }
    if (layout == Layout::kNhwc) {
      *g = {Order::kNhwc, s[1], s[2], s[3]};
    } else {
      *g = {Order::kNchw, s[2], s[3], s[1]};
    }
  } else {
    return InvalidArgument(shape + " is not images; expected (N, H, W, C), (N, C, H, W), (N, H, W) or (N, H*W*C)");
  }
  if (s[0] == 0) return Corrupt(a.name + ": has no samples");
  if (g->h < 1 || g->w < 1 || g->h > kMaxSide || g->w > kMaxSide || !IsChannels(g->c)) {
    return Corrupt(shape + " gives images of " + std::to_string(g->h) + "x" + std::to_string(g->w) + "x" +
                   std::to_string(g->c) + "; expected sides up to " + std::to_string(kMaxSide) +
                   " and 1 or 3 channels");
  }
  return {};
}

// One row of values as bytes. Integers must be 0 to 255; floats are scaled by the declared range and rounded.
Status ToBytes(const H5Array& a, uint64_t row, const std::vector<double>& values, double scale,
               std::vector<uint8_t>* bytes) {
  for (size_t i = 0; i < values.size(); ++i) {
    const double v = values[i] * scale;
    if (!(v >= -0.5 && v < 255.5)) {
      return Corrupt(a.name + ": sample " + std::to_string(row) + " has the value " + std::to_string(values[i]) +
                     ", outside " + (scale == 1 ? "0 to 255" : "0 to 1"));
    }
    (*bytes)[i] = static_cast<uint8_t>(std::floor(v + 0.5));
  }
  return {};
}

Status ReadImages(const H5Array& a, const Hdf5Options& o, const Geometry& g, std::vector<uint8_t>* images) {
  const bool is_bytes = a.TypeName() == "uint8";
  if (a.type_class == H5T_FLOAT && o.range == Hdf5Options::Range::kUnknown) {
    return InvalidArgument(a.name + ": holds " + a.TypeName() +
                           " values; say with range whether they are 0 to 255 (255) or 0 to 1 (unit)");
  }
  const double scale = a.type_class == H5T_FLOAT && o.range == Hdf5Options::Range::kUnit ? 255.0 : 1.0;
  const size_t sample = g.h * g.w * g.c, n = a.shape[0], plane = g.h * g.w;
  DISTIL_RETURN_IF_ERROR(Resize(images, n * sample, a.name));
  std::vector<double> values(is_bytes ? 0 : sample);
  std::vector<uint8_t> bytes(sample);
  if (is_bytes && g.order == Order::kNhwc) return H5ReadRows(a, 0, n, H5T_NATIVE_UINT8, images->data());
  for (size_t i = 0; i < n; ++i) {
    if (is_bytes) {
      DISTIL_RETURN_IF_ERROR(H5ReadRows(a, i, 1, H5T_NATIVE_UINT8, bytes.data()));
    } else {
      DISTIL_RETURN_IF_ERROR(H5ReadRows(a, i, 1, H5T_NATIVE_DOUBLE, values.data()));
      DISTIL_RETURN_IF_ERROR(ToBytes(a, i, values, scale, &bytes));
    }
    uint8_t* out = images->data() + i * sample;
    if (g.order == Order::kNhwc) {
      std::copy(bytes.begin(), bytes.end(), out);
      continue;
    }
    for (size_t p = 0; p < plane; ++p) {
      for (size_t c = 0; c < g.c; ++c) out[p * g.c + c] = bytes[c * plane + p];
    }
  }
  return {};
}

Status ReadSplit(hid_t file, const std::string& path, const std::pair<std::string, std::string>& names, SplitKind kind,
                 const Hdf5Options& o, Dataset* d) {
  H5Array images, labels;
  Geometry g;
  DISTIL_RETURN_IF_ERROR(H5OpenArray(file, path, names.first, &images));
  DISTIL_RETURN_IF_ERROR(H5OpenArray(file, path, names.second, &labels));
  if (images.shape.empty()) return Corrupt(images.name + ": is a single value, not images");
  DISTIL_RETURN_IF_ERROR(FindGeometry(images, o, &g));
  if (labels.shape.empty() || labels.shape[0] != images.shape[0]) {
    return Corrupt(labels.name + ": has shape " + labels.ShapeText() + ", but there are " +
                   std::to_string(images.shape[0]) + " images");
  }
  if (kind == SplitKind::kTrain) {
    d->height = static_cast<int>(g.h), d->width = static_cast<int>(g.w), d->channels = static_cast<int>(g.c);
  } else if (static_cast<int>(g.h) != d->height || static_cast<int>(g.w) != d->width ||
             static_cast<int>(g.c) != d->channels) {
    return Corrupt(images.name + ": images are " + std::to_string(g.h) + "x" + std::to_string(g.w) + "x" +
                   std::to_string(g.c) + ", but training images are " + std::to_string(d->height) + "x" +
                   std::to_string(d->width) + "x" + std::to_string(d->channels));
  }
  Split& split = d->split(kind);
  const int64_t limit = o.num_classes > 0 ? o.num_classes : kMaxClasses;
  DISTIL_RETURN_IF_ERROR(H5ReadLabels(labels, true, limit, &split.labels));
  return ReadImages(images, o, g, &split.images);
}

std::string Rooted(const std::string& name) { return name.empty() || name[0] == '/' ? name : "/" + name; }

}  // namespace

Status ImportHdf5(const Hdf5Options& o, Dataset* dataset) {
  H5Scope scope;
  H5Id file, test_file;
  Dataset d;
  DISTIL_RETURN_IF_ERROR(H5OpenFile(o.from, &file));
  if (!o.from_test.empty()) DISTIL_RETURN_IF_ERROR(H5OpenFile(o.from_test, &test_file));
  if (o.num_classes < 0 || o.num_classes > kMaxClasses) {
    return InvalidArgument("num_classes is " + std::to_string(o.num_classes) + ", expected 1 to " +
                           std::to_string(kMaxClasses));
  }
  const bool separate = test_file.ok(), alone = separate || o.holdout > 0;
  Names names = {{{Rooted(o.train_images), Rooted(o.train_labels)},
                  {Rooted(o.val_images), Rooted(o.val_labels)},
                  {Rooted(o.test_images), Rooted(o.test_labels)}}};
  for (SplitKind kind : kAllSplits) {
    auto& pair = names[static_cast<size_t>(kind)];
    const bool from_test = separate && kind == SplitKind::kTest;
    const std::string& path = from_test ? o.from_test : o.from;
    DISTIL_RETURN_IF_ERROR(FindNames(path, from_test ? test_file : file, kind,
                                     alone && kind != SplitKind::kVal && (separate || kind == SplitKind::kTrain),
                                     &pair));
    if (pair.first.empty()) continue;
    DISTIL_RETURN_IF_ERROR(ReadSplit(from_test ? test_file : file, path, pair, kind, o, &d));
  }
  d.num_classes = o.num_classes;
  if (d.num_classes == 0) {
    for (const Split& split : d.splits) {
      for (int32_t label : split.labels) d.num_classes = std::max(d.num_classes, label + 1);
    }
    d.warnings.push_back(o.from + ": the number of classes was not given; the largest label makes it " +
                         std::to_string(d.num_classes));
  }
  if (d.test().size() == 0) {
    if (!(o.holdout > 0)) {
      return InvalidArgument(o.from +
                             ": there is no test split; name one with test_images and test_labels, give a "
                             "test file, or say which fraction to hold out");
    }
    DISTIL_RETURN_IF_ERROR(HoldOut(&d, o.holdout, o.seed, SplitKind::kTest));
  }
  d.source = "HDF5 file " + Printable(o.from);
  Finish(&d);
  DISTIL_RETURN_IF_ERROR(Validate(d, o.from));
  *dataset = std::move(d);
  return {};
}

}  // namespace distil::data
