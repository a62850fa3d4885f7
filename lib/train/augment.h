// Augmenter: what lib/backend/images.h does to uint8 images, with the numbers that the options give; on the CPU, or as
// plain numbers for a device that does it by itself.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/backend/images.h"
#include "lib/base/status.h"
#include "lib/train/options.h"

namespace distil {

class Augmenter {
 public:
  // Mean and standard deviation: one number, or one for each channel.
  static Status Create(const std::vector<double>& mean, const std::vector<double>& std, int64_t channels,
                       int64_t height, int64_t width, Augmenter* out);
  // The same, with the changes that the options ask for.
  static Status Create(const TrainingOptions& o, int64_t channels, int64_t height, int64_t width, Augmenter* out);

  // One image. Allocates nothing.
  void Run(const uint8_t* image, uint32_t epoch, uint32_t id, float* out) const;

  // The numbers behind it; `table`, `scale` and `shift` are host memory that lives as long as this does.
  ImageChange change() const;

 private:
  ImageChange change_;  // without addresses
  std::vector<float> table_, scale_, shift_;
};

}  // namespace distil
