// Folder trees of JPEG and PNG files: list, decode, resize; into RAM or straight into a file.
#include <algorithm>
#include <atomic>
#include <cctype>
#include <functional>
#include <string>
#include <thread>

#include "data/files.h"
#include "data/hdf5_file.h"
#include "data/importers.h"

namespace distil::data {
namespace {

struct Listing {
  Dataset meta;                                   // labels, classes, shape; no images
  std::array<std::vector<std::string>, 3> files;  // by SplitKind
  int64_t ignored = 0;
  std::string first_ignored;
};

bool IsImageName(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.ends_with(".jpg") || lower.ends_with(".jpeg") || lower.ends_with(".png");
}

// Image files below `folder`, in the order of their paths.
Status Walk(const std::string& folder, int depth, Listing* listing, std::vector<std::string>* files) {
  if (depth > 8) return Corrupt(folder + ": folders are nested too deeply (a link that leads back up?)");
  std::vector<std::string> names;
  DISTIL_RETURN_IF_ERROR(ListFolder(folder, &names));
  for (const auto& name : names) {
    const std::string path = JoinPath(folder, name);
    if (IsFolder(path)) {
      DISTIL_RETURN_IF_ERROR(Walk(path, depth + 1, listing, files));
    } else if (IsImageName(name)) {
      files->push_back(path);
    } else if (listing->ignored++ == 0) {
      listing->first_ignored = path;
    }
  }
  return {};
}

// The class folders of `folder`; the training split says which classes there are.
Status ListSplit(const std::string& folder, SplitKind kind, Listing* listing) {
  std::vector<std::string> names, classes;
  DISTIL_RETURN_IF_ERROR(ListFolder(folder, &names));
  for (const auto& name : names) {
    if (IsFolder(JoinPath(folder, name))) {
      classes.push_back(name);
    } else if (listing->ignored++ == 0) {
      listing->first_ignored = JoinPath(folder, name);
    }
  }
  Dataset& d = listing->meta;
  if (kind == SplitKind::kTrain) {
    if (classes.empty()) return Corrupt(folder + ": there are no class folders in it");
    for (const auto& name : classes) {
      if (Printable(name) != name)
        return Corrupt(folder + ": the folder name '" + Printable(name) + "' holds control characters");
    }
    d.class_names = classes;
    d.num_classes = static_cast<int>(classes.size());
  }
  for (const auto& name : classes) {
    const auto at = std::lower_bound(d.class_names.begin(), d.class_names.end(), name);
    if (at == d.class_names.end() || *at != name) {
      return Corrupt(JoinPath(folder, Printable(name)) + ": there is no such class among the training folders");
    }
    auto& files = listing->files[static_cast<size_t>(kind)];
    DISTIL_RETURN_IF_ERROR(Walk(JoinPath(folder, name), 0, listing, &files));
    auto& labels = d.split(kind).labels;
    if (files.size() == labels.size())
      d.warnings.push_back(JoinPath(folder, name) + ": there are no images in this class");
    labels.resize(files.size(), static_cast<int32_t>(at - d.class_names.begin()));
  }
  if (d.split(kind).size() == 0) return Corrupt(folder + ": there are no .jpg, .jpeg or .png files in it");
  return {};
}

// Moves the held-out part of the training files to the test split.
Status SplitOff(const FolderOptions& options, Listing* listing) {
  if (!(options.holdout > 0 && options.holdout < 1)) {
    return InvalidArgument(options.from +
                           ": there is no test or val folder; say which fraction to hold out for testing, "
                           "above 0 and below 1, e.g. 0.2");
  }
  Dataset& d = listing->meta;
  const Split all = std::move(d.train());
  const auto files = std::move(listing->files[0]);
  d.train() = Split();
  listing->files[0].clear();
  const auto held = ChooseHeldOut(all.labels, d.num_classes, options.holdout, options.seed);
  for (size_t i = 0; i < held.size(); ++i) {
    const SplitKind side = held[i] ? SplitKind::kTest : SplitKind::kTrain;
    d.split(side).labels.push_back(all.labels[i]);
    listing->files[static_cast<size_t>(side)].push_back(files[i]);
  }
  if (d.test().size() == 0) return Corrupt(options.from + ": no class has two images, so none can be held out");
  return {};
}

Status List(const FolderOptions& options, Listing* listing) {
  Dataset& d = listing->meta;
  d.height = options.height, d.width = options.width, d.channels = options.channels;
  if (d.height < 1 || d.width < 1 || d.height > kMaxSide || d.width > kMaxSide ||
      (d.channels != 1 && d.channels != 3)) {
    return InvalidArgument(options.from + ": a folder import needs a height and a width from 1 to " +
                           std::to_string(kMaxSide) + " and 1 or 3 channels to bring the images to");
  }
  if (!IsFolder(options.from)) {
    std::vector<std::string> names;
    return ListFolder(options.from, &names);  // its message says why
  }
  const std::string train = JoinPath(options.from, "train"), val = JoinPath(options.from, "val"),
                    test = JoinPath(options.from, "test");
  if (IsFolder(train)) {
    DISTIL_RETURN_IF_ERROR(ListSplit(train, SplitKind::kTrain, listing));
    if (IsFolder(test)) {
      DISTIL_RETURN_IF_ERROR(ListSplit(test, SplitKind::kTest, listing));
      if (IsFolder(val)) DISTIL_RETURN_IF_ERROR(ListSplit(val, SplitKind::kVal, listing));
    } else if (IsFolder(val)) {
      DISTIL_RETURN_IF_ERROR(ListSplit(val, SplitKind::kTest, listing));
    } else {
      DISTIL_RETURN_IF_ERROR(SplitOff(options, listing));
    }
  } else {
    DISTIL_RETURN_IF_ERROR(ListSplit(options.from, SplitKind::kTrain, listing));
    DISTIL_RETURN_IF_ERROR(SplitOff(options, listing));
  }
  if (listing->ignored > 0) {
    d.warnings.push_back(listing->first_ignored + ": not an image file by its name; " +
                         std::to_string(listing->ignored) + " such files were left out");
  }
  d.source = "folder tree " + Printable(options.from) + ", resized to " + std::to_string(d.height) + "x" +
             std::to_string(d.width) +
             (options.fit == Fit::kCrop ? " after a centred crop" : " without regard to aspect ratio");
  return {};
}

// Decodes files[first, first + count) into `out`, the error of the first bad file winning whatever the
// threads do.
Status DecodeMany(const FolderOptions& o, const std::vector<std::string>& files, size_t first, size_t count,
                  uint8_t* out) {
  const size_t sample = static_cast<size_t>(o.height) * o.width * o.channels;
  std::vector<Status> statuses(count);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < count;) {
      Image image;
      statuses[i] = LoadImage(files[first + i], o.height, o.width, o.channels, o.fit, &image);
      if (statuses[i].ok()) std::copy(image.pixels.begin(), image.pixels.end(), out + i * sample);
    }
  };
  std::vector<std::thread> helpers;
  for (int t = 1; t < std::min(o.threads, 64); ++t) helpers.emplace_back(work);
  work();
  for (auto& helper : helpers) helper.join();
  for (auto& status : statuses) {
    if (!status.ok()) return std::move(status);
  }
  return {};
}

using Sink = std::function<Status(SplitKind, const uint8_t*, int64_t)>;

Status DecodeAll(const FolderOptions& options, const Listing& listing, const Sink& sink) {
  constexpr size_t kBytes = 16 << 20;
  const size_t sample = listing.meta.sample_bytes(), rows = std::clamp<size_t>(kBytes / sample, 1, 512);
  std::vector<uint8_t> piece;
  DISTIL_RETURN_IF_ERROR(Resize(&piece, rows * sample, options.from));
  for (SplitKind kind : kAllSplits) {
    const auto& files = listing.files[static_cast<size_t>(kind)];
    for (size_t first = 0; first < files.size(); first += rows) {
      const size_t count = std::min(rows, files.size() - first);
      DISTIL_RETURN_IF_ERROR(DecodeMany(options, files, first, count, piece.data()));
      DISTIL_RETURN_IF_ERROR(sink(kind, piece.data(), static_cast<int64_t>(count)));
    }
  }
  return {};
}

}  // namespace

Status ImportFolder(const FolderOptions& options, Dataset* dataset) {
  Listing listing;
  DISTIL_RETURN_IF_ERROR(List(options, &listing));
  Dataset d = listing.meta;
  DISTIL_RETURN_IF_ERROR(DecodeAll(options, listing, [&](SplitKind kind, const uint8_t* images, int64_t count) {
    auto& to = d.split(kind).images;
    const size_t size = to.size(), bytes = static_cast<size_t>(count) * d.sample_bytes();
    DISTIL_RETURN_IF_ERROR(Resize(&to, size + bytes, options.from));
    std::copy(images, images + bytes, to.begin() + static_cast<std::ptrdiff_t>(size));
    return Status();
  }));
  Finish(&d);
  DISTIL_RETURN_IF_ERROR(Validate(d, options.from));
  *dataset = std::move(d);
  return {};
}

Status ImportFolderToFile(const FolderOptions& options, const std::string& to, Dataset* dataset) {
  Listing listing;
  DatasetWriter writer;
  DISTIL_RETURN_IF_ERROR(List(options, &listing));
  DISTIL_RETURN_IF_ERROR(writer.Create(to, listing.meta));
  DISTIL_RETURN_IF_ERROR(DecodeAll(
      options, listing, [&](SplitKind, const uint8_t* images, int64_t count) { return writer.Append(images, count); }));
  DISTIL_RETURN_IF_ERROR(writer.Finish(&listing.meta));
  for (Split& split : listing.meta.splits) split.file = split.size() > 0 ? to : "";
  *dataset = std::move(listing.meta);
  return {};
}

}  // namespace distil::data
