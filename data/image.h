// Single images: decode JPEG and PNG to uint8 HWC, change channels, resize.
//
// The kind is told from the first bytes, not from the name. Grey becomes equal R, G, B; a palette is
// expanded; alpha is dropped and EXIF rotation ignored, as in torchvision's loader; 16-bit PNG is scaled to 8
// bits; CMYK JPEG is converted by the plain formula. Damage (a short file, bad codes) is an error, never a
// partly grey picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::data {

struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // HWC
};

// How an image of another shape becomes height x width.
enum class Fit {
  kCrop,     // the largest centred region of the wanted aspect ratio, then resized (default everywhere)
  kStretch,  // the whole image, aspect ratio not kept
};

// Decode from memory; `name` opens error messages. channels 3 as a rule, or 1 (luma, ITU-R BT.601).
Status DecodeImage(const uint8_t* bytes, size_t size, const std::string& name, int channels, Image* image);
Status DecodeImageFile(const std::string& path, int channels, Image* image);

// Resize with a triangle filter whose support grows with the reduction (bilinear when enlarging, antialiased
// when reducing: what Pillow calls BILINEAR).
Status ResizeImage(const Image& in, int height, int width, Fit fit, Image* out);

// 1 <-> 3 channels.
Status ConvertChannels(const Image& in, int channels, Image* out);

// What `predict` needs: a file decoded to exactly height x width x channels.
Status LoadImage(const std::string& path, int height, int width, int channels, Fit fit, Image* image);

}  // namespace distil::data
