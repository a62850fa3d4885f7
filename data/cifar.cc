// CIFAR-10 and CIFAR-100, the binary version.  Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
//
// A record is [label] (CIFAR-10) or [coarse label, fine label] (CIFAR-100), then 3072 bytes: 32x32 red,
// green, blue.
#include <algorithm>
#include <string>

#include "data/archive.h"
#include "data/files.h"
#include "data/importers.h"

namespace distil::data {
namespace {

constexpr size_t kPlane = 32 * 32;

struct Layout {
  size_t labels;  // bytes of labels in a record
  int classes;
  std::vector<std::string> train, test;
  const char* names;  // file with the class names
  const char* folder;
  const char* source;
};

Layout LayoutOf(CifarKind kind) {
  if (kind == CifarKind::kCifar10) {
    return {1,
            10,
            {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
            {"test_batch.bin"},
            "batches.meta.txt",
            "cifar-10-batches-bin",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"};
  }
  return {2,
          100,
          {"train.bin"},
          {"test.bin"},
          "fine_label_names.txt",
          "cifar-100-binary",
          "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"};
}

}  // namespace

Status ParseCifar(CifarKind kind, const uint8_t* bytes, size_t size, const std::string& name, Split* split) {
  const Layout layout = LayoutOf(kind);
  const size_t record = layout.labels + 3 * kPlane;
  if (size == 0 || size % record != 0) {
    return Corrupt(name + ": has " + std::to_string(size) + " bytes, which is not a whole number of records of " +
                   std::to_string(record) + " bytes (truncated, or not CIFAR-" + std::to_string(layout.classes) + ")");
  }
  const size_t n = size / record, before = split->images.size();
  DISTIL_RETURN_IF_ERROR(Resize(&split->images, before + n * 3 * kPlane, name));
  uint8_t* out = split->images.data() + before;
  for (size_t i = 0; i < n; ++i, bytes += record) {
    const int label = bytes[layout.labels - 1];
    if (label >= layout.classes) {
      return Corrupt(name + ": the label at index " + std::to_string(i) + " is " + std::to_string(label) +
                     ", but labels must be from 0 to " + std::to_string(layout.classes - 1));
    }
    split->labels.push_back(label);
    const uint8_t* planes = bytes + layout.labels;
    for (size_t p = 0; p < kPlane; ++p) {
      for (size_t c = 0; c < 3; ++c) *out++ = planes[c * kPlane + p];
    }
  }
  return {};
}

Status ParseNames(const uint8_t* bytes, size_t size, const std::string& name, std::vector<std::string>* names) {
  names->clear();
  std::string line;
  for (size_t i = 0; i <= size; ++i) {
    if (i < size && bytes[i] != '\n') {
      if (bytes[i] != '\r') line += static_cast<char>(bytes[i]);
      continue;
    }
    if (line.size() > 256 || Printable(line) != line) {
      return Corrupt(name + ": line " + std::to_string(names->size() + 1) + " is not a class name");
    }
    if (!line.empty()) names->push_back(line);
    line.clear();
  }
  return {};
}

Status ImportCifar(CifarKind kind, const std::string& from, Dataset* dataset) {
  constexpr uint64_t kLimit = 1ull << 30;
  const Layout layout = LayoutOf(kind);
  std::vector<std::string> wanted = layout.train;
  wanted.insert(wanted.end(), layout.test.begin(), layout.test.end());
  FileMap files;
  std::string place = from;
  if (IsFolder(from)) {
    const std::string below = JoinPath(from, layout.folder);
    if (!IsFile(JoinPath(from, wanted[0])) && IsFolder(below)) place = below;
    for (const auto& name : wanted) DISTIL_RETURN_IF_ERROR(ReadFile(JoinPath(place, name), kLimit, &files[name]));
    const std::string names = JoinPath(place, layout.names);
    if (IsFile(names)) DISTIL_RETURN_IF_ERROR(ReadFile(names, kLimit, &files[layout.names]));
  } else {
    auto all = wanted;
    all.push_back(layout.names);
    DISTIL_RETURN_IF_ERROR(ReadArchive(from, all, kLimit, &files));
    for (const auto& name : wanted) {
      if (!files.count(name)) return Corrupt(from + ": there is no " + name + " in the archive");
    }
  }
  Dataset d;
  d.height = d.width = 32, d.channels = 3;
  d.num_classes = layout.classes;
  d.source = layout.source;
  for (const auto& [kind_of_split, names] :
       {std::pair{SplitKind::kTrain, layout.train}, std::pair{SplitKind::kTest, layout.test}}) {
    for (const auto& name : names) {
      const auto& bytes = files[name];
      DISTIL_RETURN_IF_ERROR(
          ParseCifar(kind, bytes.data(), bytes.size(), JoinPath(place, name), &d.split(kind_of_split)));
      files.erase(name);
    }
  }
  if (files.count(layout.names)) {
    const auto& bytes = files[layout.names];
    const std::string name = JoinPath(place, layout.names);
    DISTIL_RETURN_IF_ERROR(ParseNames(bytes.data(), bytes.size(), name, &d.class_names));
    if (d.class_names.size() != static_cast<size_t>(d.num_classes)) {
      return Corrupt(name + ": has " + std::to_string(d.class_names.size()) + " names, expected " +
                     std::to_string(d.num_classes));
    }
  } else {
    d.warnings.push_back(place + ": there is no " + layout.names + ", so classes have no names");
  }
  for (SplitKind k : {SplitKind::kTrain, SplitKind::kTest}) {
    const int64_t expected = k == SplitKind::kTrain ? 50000 : 10000;
    if (d.split(k).size() != expected) {
      d.warnings.push_back(place + ": the " + SplitName(k) + " split has " + std::to_string(d.split(k).size()) +
                           " samples, the published one has " + std::to_string(expected));
    }
  }
  Finish(&d);
  DISTIL_RETURN_IF_ERROR(Validate(d, from));
  *dataset = std::move(d);
  return {};
}

}  // namespace distil::data
