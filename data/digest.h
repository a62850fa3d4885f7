// SHA-256 of a data set's content, so that a result can name the very pixels it was trained on.
//
// The hashed bytes, all integers little-endian:
//   "distil-dataset-1\n", u32 height, width, channels, num_classes,
//   for each split of train, val, test that has samples: its name and "\n", u64 N, N labels as i32, N images,
//   u32 number of class names, each name followed by a zero byte, mean and std of each channel as f64.
// `source` and how the file is chunked or compressed are left out: they do not change what is learned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "data/dataset.h"

namespace distil::data {

// SHA-256 in pieces, through OpenSSL.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void Update(const void* bytes, size_t size);
  std::string Hex();  // ends the hash; call once

 private:
  void* context_;
};

// The content digest in pieces, for data that never is in RAM as a whole. Call in the order of the format
// above.
class ContentDigest {
 public:
  explicit ContentDigest(const Dataset& shape);  // height, width, channels, num_classes
  void BeginSplit(SplitKind kind, const std::vector<int32_t>& labels);
  void Images(const uint8_t* bytes, size_t size);
  std::string Finish(const Dataset& dataset);  // class_names, mean, std

 private:
  Sha256 hash_;
};

std::string DigestOf(const Dataset& dataset);  // images in RAM

}  // namespace distil::data
