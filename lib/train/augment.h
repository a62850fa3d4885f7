// Augment: uint8 images [h,w,c] become normalised float images [c,h,w], changed at random in training.
//
// Every random number is RandomWords(seed, purpose, epoch, sample id, 0), four words r0..r3 for each purpose, u(r) in
// [0,1). So an image's change depends on nothing but (seed, epoch, sample): not on the batch it is in, its place there,
// or the number of threads; a GPU kernel that follows these formulas gives the same pixels. In this order:
//
//   jitter  (kColor)  on x = pixel / 255; r0 chooses one of the 24 orders of the four changes, whose strengths are
//           brightness  x f
//           contrast    x f + m (1 - f),  m the image's mean of grey, grey = 0.299 R + 0.587 G + 0.114 B, summed as
//                       integers of 2^-20 so that the order of summation does not matter
//           saturation  x f + grey (1 - f)
//           hue         the hue of x in HSV turned by t
//           with f = 1 - s + 2 s u, not below 0, and t = h (2 u - 1); each result is clamped to [0,1].
//           u from r1, r2, r3 for brightness, contrast, saturation, and for hue from r0's low 24 bits
//   crop    (kCrop)   offsets dy = range(r0, 2 pad + 1), dx = range(r1, 2 pad + 1); pixel (y, x) comes from
//           (y + dy - pad, x + dx - pad), outside the image black, or mirrored without repeating the border
//   flip    (kFlip)   left and right change places when u(r0) < flip
//   normalise         (x - mean_c) / std_c
//   cutout  (kCutout) centre (range(r0, h), range(r1, w)); rows centre - side / 2 to that + side - 1, clipped, become 0
#pragma once

#include <cstdint>
#include <vector>

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

  // One image. Allocates nothing after the first.
  void Run(const uint8_t* image, uint32_t epoch, uint32_t id, float* out);

 private:
  void Jitter(const uint8_t* image, uint32_t epoch, uint32_t id);
  void ChangeColor(int change, float strength);
  template <class Pixel, class ToFloat>
  void Place(const Pixel* image, uint32_t epoch, uint32_t id, ToFloat value, float* out);

  int channels_ = 0, height_ = 0, width_ = 0;
  std::vector<float> table_;          // [c,256]: normalised values of bytes
  std::vector<float> scale_, shift_;  // normalised = x * scale + shift, for jittered pixels
  uint64_t seed_ = 0;
  int pad_ = 0, cutout_ = 0;
  bool reflect_ = false;
  float flip_ = 0, brightness_ = 0, contrast_ = 0, saturation_ = 0, hue_ = 0;
  bool jitter_ = false;
  std::vector<float> pixels_;  // [h,w,c], while jittering
  std::vector<int> from_x_;    // source column of each column, -1: outside
};

}  // namespace distil
