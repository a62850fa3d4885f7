// The two decoders behind image.h. Each takes a whole file in memory.
#pragma once

#include "data/image.h"

namespace distil::data {

// A picture beyond this is refused before memory is taken for it.
inline constexpr uint64_t kMaxPixels = 1ull << 27;

Status DecodeJpeg(const uint8_t* bytes, size_t size, const std::string& name,
                  Image* image);  // 1 or 3 channels
Status DecodePng(const uint8_t* bytes, size_t size, const std::string& name,
                 Image* image);  // 1 or 3 channels

}  // namespace distil::data
