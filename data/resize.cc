// Resizing with a triangle filter, and channel conversion.
//
// Output pixel i is centred at c = (i + 1/2) s of the input, s = in / out. With f = max(s, 1) the weights are
// w_j = max(0, 1 - |j + 1/2 - c| / f), normalised to sum 1: bilinear for s < 1, an area-like average for s
// > 1. Separable: rows first, then columns, in float, rounded once at the end.
#include <algorithm>
#include <cmath>
#include <vector>

#include "data/decode.h"
#include "data/files.h"
#include "data/image.h"

namespace distil::data {
namespace {

struct Taps {
  int first = 0;
  std::vector<float> weights;
};

// For output size `out` from the input range [begin, begin + length) of a line of `size` pixels.
std::vector<Taps> MakeTaps(int size, double begin, double length, int out) {
  const double scale = length / out, f = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(out));
  for (int i = 0; i < out; ++i) {
    const double center = begin + (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(std::floor(center - f)));
    const int last = std::min(size - 1, static_cast<int>(std::ceil(center + f)));
    Taps& t = taps[static_cast<size_t>(i)];
    t.first = first;
    double sum = 0;
    for (int j = first; j <= last; ++j) {
      const double w = std::max(0.0, 1.0 - std::abs(j + 0.5 - center) / f);
      t.weights.push_back(static_cast<float>(w));
      sum += w;
    }
    for (float& w : t.weights) w = static_cast<float>(w / sum);
  }
  return taps;
}

}  // namespace

Status ResizeImage(const Image& in, int height, int width, Fit fit, Image* out) {
  if (height < 1 || width < 1 || height > 16384 || width > 16384) {
    return InvalidArgument("an image cannot be resized to " + std::to_string(height) + "x" + std::to_string(width));
  }
  if (in.height == height && in.width == width) {
    *out = in;
    return {};
  }
  double h = in.height, w = in.width;  // the region that is kept, centred
  if (fit == Fit::kCrop) {
    if (h * width > w * height) {
      h = w * height / width;
    } else {
      w = h * width / height;
    }
  }
  const auto rows = MakeTaps(in.height, (in.height - h) / 2, h, height);
  const auto columns = MakeTaps(in.width, (in.width - w) / 2, w, width);
  const auto channels = static_cast<size_t>(in.channels), in_stride = channels * static_cast<size_t>(in.width);
  Image result{height, width, in.channels, {}};
  DISTIL_RETURN_IF_ERROR(Resize(&result.pixels, static_cast<uint64_t>(height) * width * channels, "a resized image"));
  std::vector<float> line(in_stride);
  uint8_t* to = result.pixels.data();
  for (const Taps& row : rows) {
    std::fill(line.begin(), line.end(), 0.0f);
    for (size_t j = 0; j < row.weights.size(); ++j) {
      const uint8_t* from = in.pixels.data() + (static_cast<size_t>(row.first) + j) * in_stride;
      const float weight = row.weights[j];
      if (weight == 0) continue;
      for (size_t x = 0; x < in_stride; ++x) line[x] += weight * from[x];
    }
    for (const Taps& column : columns) {
      for (size_t c = 0; c < channels; ++c) {
        float sum = 0;
        for (size_t j = 0; j < column.weights.size(); ++j) {
          sum += column.weights[j] * line[(static_cast<size_t>(column.first) + j) * channels + c];
        }
        *to++ = static_cast<uint8_t>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
      }
    }
  }
  *out = std::move(result);
  return {};
}

Status ConvertChannels(const Image& in, int channels, Image* out) {
  if (channels == in.channels) {
    *out = in;
    return {};
  }
  if ((channels != 1 && channels != 3) || (in.channels != 1 && in.channels != 3)) {
    return InvalidArgument("images have 1 or 3 channels, not " + std::to_string(channels));
  }
  const size_t n = in.pixels.size() / static_cast<size_t>(in.channels);
  Image result{in.height, in.width, channels, {}};
  DISTIL_RETURN_IF_ERROR(Resize(&result.pixels, n * static_cast<size_t>(channels), "a converted image"));
  for (size_t i = 0; i < n; ++i) {
    if (channels == 3) {
      std::fill_n(result.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, in.pixels[i]);
    } else {  // BT.601 luma in 16-bit fixed point, the weights Pillow uses
      const uint8_t* p = in.pixels.data() + 3 * i;
      result.pixels[i] = static_cast<uint8_t>((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    }
  }
  *out = std::move(result);
  return {};
}

Status DecodeImage(const uint8_t* bytes, size_t size, const std::string& name, int channels, Image* image) {
  static const uint8_t kPng[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  Image decoded;
  if (size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff) {
    DISTIL_RETURN_IF_ERROR(DecodeJpeg(bytes, size, name, &decoded));
  } else if (size >= 8 && std::equal(kPng, kPng + 8, bytes)) {
    DISTIL_RETURN_IF_ERROR(DecodePng(bytes, size, name, &decoded));
  } else {
    return Corrupt(name + ": neither a JPEG nor a PNG image");
  }
  return ConvertChannels(decoded, channels, image);
}

Status DecodeImageFile(const std::string& path, int channels, Image* image) {
  std::vector<uint8_t> bytes;
  DISTIL_RETURN_IF_ERROR(ReadFile(path, 1ull << 30, &bytes));
  return DecodeImage(bytes.data(), bytes.size(), path, channels, image);
}

Status LoadImage(const std::string& path, int height, int width, int channels, Fit fit, Image* image) {
  Image decoded;
  DISTIL_RETURN_IF_ERROR(DecodeImageFile(path, channels, &decoded));
  return ResizeImage(decoded, height, width, fit, image);
}

}  // namespace distil::data
