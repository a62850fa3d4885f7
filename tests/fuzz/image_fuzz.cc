// JPEG and PNG decoding, then the resizing that every imported image goes through.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace distil::data;
  Image image, resized;
  const distil::Status status = DecodeImage(bytes, size, "f", 3, &image);
  if (!status.ok()) {
    if (status.message().rfind("f: ", 0) != 0) std::abort();
    return 0;
  }
  if (image.pixels.size() != static_cast<size_t>(image.height) * image.width * 3) std::abort();
  if (image.pixels.size() > (1u << 20)) return 0;  // resizing is not what is fuzzed
  if (!ResizeImage(image, 8, 8, Fit::kCrop, &resized).ok() || resized.pixels.size() != 8 * 8 * 3) std::abort();
  return 0;
}
