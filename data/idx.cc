// MNIST-style IDX.  LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/
//
// Bytes 0 0, type (0x08 = uint8), rank; each dimension as big-endian u32; the values. Images are (N, H, W) or
// (N, H, W, 1 or 3), labels are (N).
#include <algorithm>
#include <string>

#include "data/archive.h"
#include "data/files.h"
#include "data/importers.h"

namespace distil::data {

Status ParseIdx(const uint8_t* bytes, size_t size, const std::string& name, IdxArray* array) {
  if (size < 4 || bytes[0] != 0 || bytes[1] != 0) return Corrupt(name + ": not an IDX file (wrong first bytes)");
  if (bytes[2] != 8) {
    return Unsupported(name + ": IDX values of type " + std::to_string(bytes[2]) + ", expected 8 (uint8)");
  }
  const size_t rank = bytes[3];
  if (rank < 1 || rank > 4)
    return Corrupt(name + ": an IDX array of rank " + std::to_string(rank) + ", expected 1 to 4");
  if (size < 4 + 4 * rank) return Corrupt(name + ": the IDX header is truncated");
  array->shape.clear();
  uint64_t count = 1;
  std::string text;
  for (size_t i = 0; i < rank; ++i) {
    const uint8_t* p = bytes + 4 + 4 * i;
    const uint32_t n = uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
    array->shape.push_back(n);
    text += (i ? "x" : "") + std::to_string(n);
    if (n != 0 && count > UINT64_MAX / n) return Corrupt(name + ": impossible IDX shape " + text);
    count *= n;
  }
  const uint64_t have = size - 4 - 4 * rank;
  if (count != have) {
    return Corrupt(name + ": shape " + text + " needs " + std::to_string(count) + " bytes of values, but there are " +
                   std::to_string(have));
  }
  array->values.assign(bytes + 4 + 4 * rank, bytes + size);
  return {};
}

namespace {

Status ReadIdx(const std::string& path, IdxArray* array) {
  std::vector<uint8_t> bytes;
  DISTIL_RETURN_IF_ERROR(ReadMaybeCompressed(path, 16ull << 30, &bytes));
  return ParseIdx(bytes.data(), bytes.size(), path, array);
}

// The one file of `names` that ends with one of `endings`, plain or .gz.
Status Find(const std::string& folder, const std::vector<std::string>& names, const std::vector<std::string>& endings,
            std::string* path) {
  std::vector<std::string> found;
  for (const auto& name : names) {
    const std::string stem = name.ends_with(".gz") ? name.substr(0, name.size() - 3) : name;
    const bool fits =
        std::any_of(endings.begin(), endings.end(), [&](const std::string& e) { return stem.ends_with(e); });
    if (fits && (found.empty() || found.back() != stem)) {
      found.push_back(stem);  // names are sorted, so a plain file comes before its .gz
      *path = JoinPath(folder, name);
    }
  }
  if (found.size() == 1) return {};
  if (found.empty())
    return NotFound(folder + ": there is no file that ends with " + endings[0] + " or " + endings[0] + ".gz");
  return InvalidArgument(folder + ": both " + found[0] + " and " + found[1] +
                         " could be meant; name the files one by one");
}

Status ReadSplit(const std::string& images_path, const std::string& labels_path, SplitKind kind, Dataset* d) {
  IdxArray images, labels;
  DISTIL_RETURN_IF_ERROR(ReadIdx(images_path, &images));
  DISTIL_RETURN_IF_ERROR(ReadIdx(labels_path, &labels));
  if (images.shape.size() < 3) {
    return Corrupt(images_path + ": an array of rank " + std::to_string(images.shape.size()) +
                   " is not images; expected (N, height, width)");
  }
  if (images.shape[0] == 0) return Corrupt(images_path + ": has no samples");
  if (labels.shape.size() != 1) {
    return Corrupt(labels_path + ": an array of rank " + std::to_string(labels.shape.size()) +
                   " is not labels; expected (N)");
  }
  if (labels.shape[0] != images.shape[0]) {
    return Corrupt(labels_path + ": has " + std::to_string(labels.shape[0]) + " labels for " +
                   std::to_string(images.shape[0]) + " images");
  }
  const uint32_t h = images.shape[1], w = images.shape[2], c = images.shape.size() == 4 ? images.shape[3] : 1;
  if (h < 1 || w < 1 || h > kMaxSide || w > kMaxSide || (c != 1 && c != 3)) {
    return Corrupt(images_path + ": images of " + std::to_string(h) + "x" + std::to_string(w) + "x" +
                   std::to_string(c) + " are not supported");
  }
  if (kind == SplitKind::kTrain) {
    d->height = static_cast<int>(h), d->width = static_cast<int>(w), d->channels = static_cast<int>(c);
  } else if (d->height != static_cast<int>(h) || d->width != static_cast<int>(w) ||
             d->channels != static_cast<int>(c)) {
    return Corrupt(images_path + ": images are " + std::to_string(h) + "x" + std::to_string(w) + "x" +
                   std::to_string(c) + ", but training images are " + std::to_string(d->height) + "x" +
                   std::to_string(d->width) + "x" + std::to_string(d->channels));
  }
  d->split(kind).images = std::move(images.values);
  d->split(kind).labels.assign(labels.values.begin(), labels.values.end());
  return {};
}

}  // namespace

Status ImportIdx(const IdxOptions& options, Dataset* dataset) {
  IdxOptions o = options;
  if (!o.from.empty()) {
    std::vector<std::string> names;
    DISTIL_RETURN_IF_ERROR(ListFolder(o.from, &names));
    if (o.train_images.empty()) {
      DISTIL_RETURN_IF_ERROR(
          Find(o.from, names, {"train-images-idx3-ubyte", "train-images.idx3-ubyte"}, &o.train_images));
    }
    if (o.train_labels.empty()) {
      DISTIL_RETURN_IF_ERROR(
          Find(o.from, names, {"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"}, &o.train_labels));
    }
    if (o.test_images.empty()) {
      DISTIL_RETURN_IF_ERROR(
          Find(o.from, names,
               {"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte", "test-images-idx3-ubyte", "test-images.idx3-ubyte"},
               &o.test_images));
    }
    if (o.test_labels.empty()) {
      DISTIL_RETURN_IF_ERROR(
          Find(o.from, names,
               {"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte", "test-labels-idx1-ubyte", "test-labels.idx1-ubyte"},
               &o.test_labels));
    }
  }
  if (o.train_images.empty() || o.train_labels.empty() || o.test_images.empty() || o.test_labels.empty()) {
    return InvalidArgument(
        "an IDX import needs a folder, or all four of: training images, training labels, test images, test "
        "labels");
  }
  Dataset d;
  DISTIL_RETURN_IF_ERROR(ReadSplit(o.train_images, o.train_labels, SplitKind::kTrain, &d));
  DISTIL_RETURN_IF_ERROR(ReadSplit(o.test_images, o.test_labels, SplitKind::kTest, &d));
  int32_t largest = 0;
  for (int32_t label : d.train().labels) largest = std::max(largest, label);
  d.num_classes = largest + 1;
  d.source = "IDX files " + o.train_images + " and three more";
  DISTIL_RETURN_IF_ERROR(CheckLabels(d.test().labels, d.num_classes, o.test_labels));
  DISTIL_RETURN_IF_ERROR(ConvertImages(&d, o.height, o.width, o.channels));
  Finish(&d);
  DISTIL_RETURN_IF_ERROR(Validate(d, o.train_images));
  *dataset = std::move(d);
  return {};
}

}  // namespace distil::data
