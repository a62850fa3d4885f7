// A labelled image data set: what every importer makes, what the HDF5 schema stores, what the loader reads.
//
// Pixels stay uint8 NHWC until a batch reaches the library, which normalises and augments them; nothing here
// knows about floats other than the per-channel mean and deviation. A split is either in RAM (`images`
// filled) or streamed
// (`images` empty, `file` set); labels are always in RAM, so label checks never wait for the disk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::data {

enum class SplitKind { kTrain = 0, kVal = 1, kTest = 2 };
inline constexpr std::array<SplitKind, 3> kAllSplits = {SplitKind::kTrain, SplitKind::kVal, SplitKind::kTest};
const char* SplitName(SplitKind kind);  // "train", "val", "test"

// Limits that a file must respect before anything is allocated for it.
inline constexpr int kMaxSide = 16384;
inline constexpr int kMaxClasses = 1 << 20;

struct Split {
  std::vector<int32_t> labels;  // one per sample: labels.size() is the number of samples
  std::vector<uint8_t> images;  // NHWC, empty when streamed
  std::string file;             // HDF5 file to stream from, empty when in RAM

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  bool streamed() const { return !file.empty(); }
};

struct Dataset {
  std::array<Split, 3> splits;  // by SplitKind; val may be empty
  int height = 0, width = 0, channels = 0;
  int num_classes = 0;
  std::vector<std::string> class_names;  // num_classes of them, or none
  std::vector<double> mean, std;         // per channel of the training images, pixels as x / 255
  std::string digest;                    // SHA-256 of the content, 64 hex digits (see digest.h)
  std::string source;                    // where it came from: an address, or a sentence
  std::vector<std::string> warnings;     // what was odd when it was read or imported, one sentence each

  Split& split(SplitKind kind) { return splits[static_cast<size_t>(kind)]; }
  const Split& split(SplitKind kind) const { return splits[static_cast<size_t>(kind)]; }
  Split& train() { return split(SplitKind::kTrain); }
  const Split& train() const { return split(SplitKind::kTrain); }
  Split& val() { return split(SplitKind::kVal); }
  const Split& val() const { return split(SplitKind::kVal); }
  Split& test() { return split(SplitKind::kTest); }
  const Split& test() const { return split(SplitKind::kTest); }
  size_t sample_bytes() const { return static_cast<size_t>(height) * width * channels; }
};

// Shape, classes, label ranges and split sizes fit together; train and test are not empty. `what` opens the
// message (a file name as a rule). Every reader and importer ends with this, so a Dataset in hand is a sound
// one.
Status Validate(const Dataset& dataset, const std::string& what);

// Every label in [0, num_classes), else an error that names the first bad index and value.
Status CheckLabels(const std::vector<int32_t>& labels, int num_classes, const std::string& what);

// Fill mean and std from the training images, and digest from everything. The images must be in RAM.
void Finish(Dataset* dataset);

// Samples per class.
std::vector<int64_t> ClassCounts(const std::vector<int32_t>& labels, int num_classes);

// Move `fraction` (0 < fraction < 1) of every class, rounded, at least one sample of each class that has two
// or more, from train to `to`, chosen by `seed` (Purpose::kSubset). Order is kept on both sides.
std::vector<uint8_t> ChooseHeldOut(const std::vector<int32_t>& labels, int num_classes, double fraction,
                                   uint64_t seed);  // 1 for each sample to move
Status HoldOut(Dataset* dataset, double fraction, uint64_t seed, SplitKind to);

// Resize every image (in RAM) and change 1 <-> 3 channels; 0 keeps a dimension as it is. See image.h for the
// filter.
Status ConvertImages(Dataset* dataset, int height, int width, int channels);

}  // namespace distil::data
