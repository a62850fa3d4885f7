// Checks and small transformations of a Dataset in RAM.
#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "data/digest.h"
#include "data/files.h"
#include "data/image.h"
#include "data/stats.h"
#include "lib/base/random.h"

namespace distil::data {

const char* SplitName(SplitKind kind) {
  switch (kind) {
    case SplitKind::kTrain: return "train";
    case SplitKind::kVal: return "val";
    case SplitKind::kTest: return "test";
  }
  return "?";
}

Status CheckLabels(const std::vector<int32_t>& labels, int num_classes, const std::string& what) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= num_classes) {
      return Corrupt(what + ": the label at index " + std::to_string(i) + " is " + std::to_string(labels[i]) +
                     ", but labels must be from 0 to " + std::to_string(num_classes - 1) + " (" +
                     std::to_string(num_classes) + " classes)");
    }
  }
  return {};
}

Status Validate(const Dataset& dataset, const std::string& what) {
  const Dataset& d = dataset;
  if (d.height < 1 || d.width < 1 || d.height > kMaxSide || d.width > kMaxSide) {
    return Corrupt(what + ": images of " + std::to_string(d.height) + "x" + std::to_string(d.width) +
                   " are outside 1x1 to " + std::to_string(kMaxSide) + "x" + std::to_string(kMaxSide));
  }
  if (d.channels != 1 && d.channels != 3) {
    return Corrupt(what + ": images have " + std::to_string(d.channels) + " channels, expected 1 or 3");
  }
  if (d.num_classes < 1 || d.num_classes > kMaxClasses) {
    return Corrupt(what + ": the number of classes is " + std::to_string(d.num_classes) + ", expected 1 to " +
                   std::to_string(kMaxClasses));
  }
  if (!d.class_names.empty() && d.class_names.size() != static_cast<size_t>(d.num_classes)) {
    return Corrupt(what + ": there are " + std::to_string(d.class_names.size()) + " class names for " +
                   std::to_string(d.num_classes) + " classes");
  }
  for (size_t i = 0; i < d.class_names.size(); ++i) {
    const std::string& name = d.class_names[i];
    if (name.find('\0') != std::string::npos || Printable(name) != name) {
      return Corrupt(what + ": class name " + std::to_string(i) + " holds control characters");
    }
  }
  for (const auto* stat : {&d.mean, &d.std}) {
    if (stat->size() != static_cast<size_t>(d.channels)) {
      return Corrupt(what + ": mean and std have " + std::to_string(stat->size()) + " values for " +
                     std::to_string(d.channels) + " channels");
    }
    for (double v : *stat) {
      if (!std::isfinite(v) || v < 0 || v > 1) {
        return Corrupt(what + ": mean and std must be numbers from 0 to 1 (of pixels as x / 255)");
      }
    }
  }
  for (SplitKind kind : kAllSplits) {
    const Split& split = d.split(kind);
    const std::string where = what + ": " + SplitName(kind) + " split";
    if (split.size() == 0) {
      if (kind != SplitKind::kVal) return Corrupt(where + " has no samples");
      continue;
    }
    if (split.size() > UINT32_MAX) return Corrupt(where + " has more than 2^32 samples");
    if (!split.streamed() && split.images.size() / d.sample_bytes() != split.labels.size()) {
      return Corrupt(where + " has " + std::to_string(split.images.size() / d.sample_bytes()) + " images but " +
                     std::to_string(split.size()) + " labels");
    }
    DISTIL_RETURN_IF_ERROR(CheckLabels(split.labels, d.num_classes, where));
  }
  return {};
}

void Finish(Dataset* dataset) {
  ChannelStats stats(dataset->channels);
  stats.Add(dataset->train().images.data(), dataset->train().images.size());
  stats.Get(&dataset->mean, &dataset->std);
  dataset->digest = DigestOf(*dataset);
}

std::vector<int64_t> ClassCounts(const std::vector<int32_t>& labels, int num_classes) {
  std::vector<int64_t> counts(static_cast<size_t>(std::max(num_classes, 0)));
  for (int32_t label : labels) {
    if (label >= 0 && label < num_classes) ++counts[static_cast<size_t>(label)];
  }
  return counts;
}

std::vector<uint8_t> ChooseHeldOut(const std::vector<int32_t>& labels, int num_classes, double fraction,
                                   uint64_t seed) {
  std::vector<std::vector<uint32_t>> by_class(static_cast<size_t>(num_classes));
  for (size_t i = 0; i < labels.size(); ++i) by_class[static_cast<size_t>(labels[i])].push_back(i);
  std::vector<uint8_t> held(labels.size());
  for (size_t c = 0; c < by_class.size(); ++c) {
    auto& members = by_class[c];
    const int64_t n = static_cast<int64_t>(members.size());
    int64_t take = std::llround(fraction * static_cast<double>(n));
    if (n >= 2) take = std::clamp<int64_t>(take, 1, n - 1);
    if (n < 2) take = 0;  // a lone sample stays in training
    for (int64_t i = 0; i < take; ++i) {
      const uint32_t word =
          RandomWords(seed, Purpose::kSubset, static_cast<uint32_t>(c), 1, static_cast<uint32_t>(i))[0];
      std::swap(members[i], members[i + ToRange(word, static_cast<uint32_t>(n - i))]);
      held[members[i]] = 1;
    }
  }
  return held;
}

Status HoldOut(Dataset* dataset, double fraction, uint64_t seed, SplitKind to) {
  if (!(fraction > 0 && fraction < 1)) {
    return InvalidArgument("the held-out fraction must lie between 0 and 1, not " + std::to_string(fraction));
  }
  if (to == SplitKind::kTrain || dataset->split(to).size() != 0) {
    return FailedPrecondition(std::string("the ") + SplitName(to) + " split already has samples");
  }
  Split from = std::move(dataset->train());
  dataset->train() = Split();
  DISTIL_RETURN_IF_ERROR(CheckLabels(from.labels, dataset->num_classes, "train split"));
  const auto held = ChooseHeldOut(from.labels, dataset->num_classes, fraction, seed);
  const size_t bytes = dataset->sample_bytes();
  for (size_t i = 0; i < from.labels.size(); ++i) {
    Split& side = held[i] ? dataset->split(to) : dataset->train();
    side.labels.push_back(from.labels[i]);
    side.images.insert(side.images.end(), from.images.begin() + i * bytes, from.images.begin() + (i + 1) * bytes);
  }
  return {};
}

Status ConvertImages(Dataset* dataset, int height, int width, int channels) {
  const int h = height ? height : dataset->height, w = width ? width : dataset->width;
  const int c = channels ? channels : dataset->channels;
  if (h == dataset->height && w == dataset->width && c == dataset->channels) return {};
  if (h < 1 || w < 1 || h > kMaxSide || w > kMaxSide || (c != 1 && c != 3)) {
    return InvalidArgument("images cannot be brought to " + std::to_string(h) + "x" + std::to_string(w) + " with " +
                           std::to_string(c) + " channels");
  }
  const size_t bytes = dataset->sample_bytes(), new_bytes = static_cast<size_t>(h) * w * c;
  Image in{dataset->height, dataset->width, dataset->channels, {}}, resized, out;
  for (SplitKind kind : kAllSplits) {
    Split& split = dataset->split(kind);
    std::vector<uint8_t> images;
    DISTIL_RETURN_IF_ERROR(Resize(&images, split.labels.size() * new_bytes, "resized images"));
    for (size_t i = 0; i < split.labels.size(); ++i) {
      in.pixels.assign(split.images.begin() + i * bytes, split.images.begin() + (i + 1) * bytes);
      DISTIL_RETURN_IF_ERROR(ResizeImage(in, h, w, Fit::kStretch, &resized));
      DISTIL_RETURN_IF_ERROR(ConvertChannels(resized, c, &out));
      std::copy(out.pixels.begin(), out.pixels.end(), images.begin() + i * new_bytes);
    }
    split.images = std::move(images);
  }
  dataset->height = h, dataset->width = w, dataset->channels = c;
  return {};
}

}  // namespace distil::data
