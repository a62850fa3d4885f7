// Mean and deviation of each channel, from exact integer sums: the result does not depend on the order of the
// images.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace distil::data {

class ChannelStats {
 public:
  explicit ChannelStats(int channels) : sum_(channels), square_(channels) {}

  // `size` bytes of whole HWC pixels.
  void Add(const uint8_t* bytes, size_t size) {
    const size_t channels = sum_.size();
    for (size_t i = 0; i + channels <= size; i += channels) {
      for (size_t c = 0; c < channels; ++c) {
        const uint32_t v = bytes[i + c];
        sum_[c] += v;
        square_[c] += v * v;
      }
    }
    pixels_ += size / channels;
  }

  // Of pixels as x / 255; deviation over all pixels (no Bessel correction), as everyone quotes it for CIFAR.
  void Get(std::vector<double>* mean, std::vector<double>* std) const {
    mean->clear(), std->clear();
    const double n = pixels_ > 0 ? static_cast<double>(pixels_) : 1.0;
    for (size_t c = 0; c < sum_.size(); ++c) {
      const double m = static_cast<double>(sum_[c]) / n;
      const double variance = static_cast<double>(square_[c]) / n - m * m;
      mean->push_back(m / 255.0);
      std->push_back(std::sqrt(variance > 0 ? variance : 0) / 255.0);
    }
  }

 private:
  std::vector<uint64_t> sum_, square_;
  uint64_t pixels_ = 0;
};

}  // namespace distil::data
