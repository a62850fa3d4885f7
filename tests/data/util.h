// What the tests of data/ share: a temporary folder, a small data set, files, archives, pictures, status
// matchers.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace distil::data {

// The status failed with `code` and its message holds every one of `parts`.
void ExpectError(const Status& status, Code code, const std::vector<std::string>& parts);

#define ASSERT_OK(expr)                     \
  do {                                      \
    const ::distil::Status ok_ = (expr);    \
    ASSERT_TRUE(ok_.ok()) << ok_.message(); \
  } while (0)
#define EXPECT_OK(expr)                     \
  do {                                      \
    const ::distil::Status ok_ = (expr);    \
    EXPECT_TRUE(ok_.ok()) << ok_.message(); \
  } while (0)

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::vector<std::string> Names() const;  // also those that begin with a dot

 private:
  std::string path_;
};

using Bytes = std::vector<uint8_t>;
void WriteBytes(const std::string& path, const Bytes& bytes);  // makes the folders on the way
Bytes ReadBytes(const std::string& path);
Bytes Gzip(const Bytes& bytes);
void WriteTarGz(const std::string& path, const std::vector<std::pair<std::string, Bytes>>& files);

// `train` and `test` samples (and `val`) of 5x4x3 with every pixel and label from Philox; finished and valid.
Dataset Toy(int64_t train, int64_t test, int64_t val = 0, int classes = 3);

// A smooth picture, and encoders.
Image Gradient(int height, int width, int channels);
Bytes EncodeJpeg(const Image& image);                                          // quality 95, no subsampling
Bytes EncodeCmykJpeg(int height, int width, const uint8_t* cmyk, bool adobe);  // one colour
Bytes EncodePng(const Image& image);

// While it lives, the process may only read what everybody may: tests of permissions work for root too.
class AsNobody {
 public:
  AsNobody();
  ~AsNobody();
};

}  // namespace distil::data
