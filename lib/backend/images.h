// Images: how a uint8 image [h,w,c] becomes a network's input, normalised floats [c,h,w], changed at random in training.
//
// Every random number is RandomWords(seed, purpose, epoch, sample id, 0), four words r0..r3 for each purpose, u(r) in
// [0,1). So an image's change depends on nothing but (seed, epoch, sample): not on the batch it is in, its place there,
// or the number of threads. In this order:
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
//
// The functions below are all of the arithmetic, for the CPU (lib/train/augment.cc) and for GPUs
// (lib/backend/cuda/kernels/prepare.cu): an image gets the same bits on every device. Each pixel of the result is computed by
// itself from the bytes; only contrast needs a pass over the image before.
#pragma once

#include <cmath>
#include <cstdint>

#include "lib/base/host_device.h"
#include "lib/base/random.h"

namespace distil {

struct ImageChange {
  int channels = 0, height = 0, width = 0;
  // Host or device memory, as whoever uses them.
  const float* table = nullptr;                    // [c,256]: normalised values of bytes
  const float *scale = nullptr, *shift = nullptr;  // [c]: normalised = x * scale + shift, for jittered pixels
  uint64_t seed = 0;
  int pad = 0, cutout = 0;
  bool reflect = false, jitter = false;
  float flip = 0;
  float strength[4] = {0, 0, 0, 0};  // of brightness, contrast, saturation, hue
};

// What chance gives one image.
struct ImageDraw {
  int dy, dx;                    // of the crop
  bool flip;                     //
  int top, bottom, left, right;  // of the cutout, ends excluded
  int changes;                   // of colour, in their order:
  int change[4];                 // 0 brightness, 1 contrast, 2 saturation, 3 hue
  float factor[4];               //
  int before_contrast;           // changes that come before contrast; -1: there is none, and no need of the mean
};

namespace images {

DISTIL_HOST_DEVICE inline int Min(int a, int b) { return a < b ? a : b; }
DISTIL_HOST_DEVICE inline int Max(int a, int b) { return a < b ? b : a; }
DISTIL_HOST_DEVICE inline float Min(float a, float b) { return b < a ? b : a; }
DISTIL_HOST_DEVICE inline float Max(float a, float b) { return a < b ? b : a; }
DISTIL_HOST_DEVICE inline float Clamp01(float x) { return Min(Max(x, 0.0f), 1.0f); }
// Of a pixel of N values: all three of an image of three channels; one of another, whose channels do not see each other.
template <int N>
DISTIL_HOST_DEVICE inline float Grey(const float* p) {
  if constexpr (N == 3)
    return 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
  else
    return p[0];
}

// The k-th order of 0, 1, 2, 3, k from 0 to 23.
DISTIL_HOST_DEVICE inline void Order(uint32_t k, int order[4]) {
  int left[4] = {0, 1, 2, 3};
  uint32_t count = 24;
  for (uint32_t i = 0; i < 4; ++i) {
    count /= 4 - i;
    const uint32_t pick = k / count;
    k %= count;
    order[i] = left[pick];
    for (uint32_t j = pick; j + 1 < 4 - i; ++j) left[j] = left[j + 1];
  }
}

// RGB with its hue turned by t (1 is a full turn): to HSV (A. R. Smith, 1978) and back.
DISTIL_HOST_DEVICE inline void TurnHue(float* p, float t) {
  const float r = p[0], g = p[1], b = p[2];
  const float v = Max(Max(r, g), b), low = Min(Min(r, g), b), range = v - low;
  if (range == 0) return;  // grey has no hue
  float h = v == r ? (g - b) / range : v == g ? 2 + (b - r) / range : 4 + (r - g) / range;
  h = h / 6 + t;
  const auto whole = static_cast<float>(static_cast<int>(h));
  h = (h - (whole > h ? whole - 1 : whole)) * 6;  // less its floor
  const int sector = Min(static_cast<int>(h), 5);
  const float f = h - static_cast<float>(sector), s = range / v;
  const float of[4] = {v, v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))};
  // Which of them red, green and blue are in sectors 0 to 5, two bits each from the right.
  const uint32_t which[3] = {0b00'11'01'01'10'00, 0b01'01'10'00'00'11, 0b10'00'00'11'01'01};
  for (int c = 0; c < 3; ++c) p[c] = Clamp01(of[which[c] >> 2 * sector & 3]);
}

// A pixel after the first `changes` changes of colour.
template <int N>
DISTIL_HOST_DEVICE inline void Color(const ImageDraw& d, int changes, float mean, const uint8_t* from, float* p) {
  for (int c = 0; c < N; ++c) p[c] = static_cast<float>(from[c]) / 255.0f;
  for (int k = 0; k < changes; ++k) {
    const float f = d.factor[k];
    if (N == 3 && d.change[k] == 3) {
      TurnHue(p, f);
      continue;
    }
    const float base = d.change[k] == 0 ? 0.0f : d.change[k] == 1 ? mean : Grey<N>(p);
    for (int c = 0; c < N; ++c) p[c] = Clamp01(p[c] * f + base * (1 - f));
  }
}

// Where a pixel comes from along one axis; -1: it is black.
DISTIL_HOST_DEVICE inline int Source(int i, int n, bool reflect) {
  if (i >= 0 && i < n) return i;
  return !reflect ? -1 : i < 0 ? -i : 2 * (n - 1) - i;
}

template <int N>
DISTIL_HOST_DEVICE inline int64_t GreySum(const ImageChange& c, const ImageDraw& d, const uint8_t* image, int first,
                                          int step) {
  const int pixels = c.height * c.width, channels = c.channels;
  int64_t sum = 0;
  for (int i = first; i < pixels; i += step) {
    float p[N];
    Color<N>(d, d.before_contrast, 0, image + static_cast<int64_t>(i) * channels, p);
    sum += lrintf(Grey<N>(p) * 1048576.0f);
  }
  return sum;
}

// A pixel of the result: N values, `plane` apart, of channels i to i + N - 1. `from`: its bytes; null: it is black.
template <int N, bool kJitter>
DISTIL_HOST_DEVICE inline void WritePixel(const ImageChange& c, const ImageDraw& d, float mean, const uint8_t* from,
                                          int i, int64_t plane, float* to) {
  if (!kJitter) {
    for (int k = 0; k < N; ++k) to[k * plane] = c.table[(i + k) * 256 + (from ? from[k] : 0)];
    return;
  }
  float p[N] = {};
  if (from) Color<N>(d, d.changes, mean, from, p);
  for (int k = 0; k < N; ++k) to[k * plane] = p[k] * c.scale[i + k] + c.shift[i + k];
}

// As WriteRow below, where the compiler knows whether colours change, and how many channels are taken together.
template <int N, bool kJitter>
DISTIL_HOST_DEVICE inline void WriteRow(const ImageChange& c, const ImageDraw& d, float mean, const uint8_t* image,
                                        int y, int first, int step, float* out) {
  const int width = c.width, channels = N == 3 ? 3 : c.channels, dx = d.dx;
  const int64_t plane = static_cast<int64_t>(c.height) * width;
  const bool flip = d.flip, cut = y >= d.top && y < d.bottom;
  const int sy = Source(y + d.dy, c.height, c.reflect);
  const uint8_t* row = image + (sy < 0 ? 0 : static_cast<int64_t>(sy) * width * channels);
  // From `begin` to `end` pixels come from within the image and none is cut out.
  const int begin = Max(0, flip ? dx : -dx), end = sy < 0 || cut ? 0 : Min(width, flip ? width + dx : width - dx);
  for (int i = 0; i < channels; i += N) {
    float* to = out + i * plane + static_cast<int64_t>(y) * width;
    for (int x = first; x < width; x += step) {
      if (!kJitter && x >= begin && x < end) {
        const int by = (flip ? -step : step) * channels;
        for (int k = 0; k < N; ++k) {
          const float* table = c.table + (i + k) * 256;
          int from = ((flip ? width - 1 - x : x) + dx) * channels + i + k;
          for (int z = x; z < end; z += step, from += by) to[k * plane + z] = table[row[from]];
        }
        x += (end - 1 - x) / step * step;
      } else if (cut && x >= d.left && x < d.right) {
        for (int k = 0; k < N; ++k) to[k * plane + x] = 0;
      } else {
        const int sx = Source((flip ? width - 1 - x : x) + dx, width, c.reflect);
        const uint8_t* from = sy < 0 || sx < 0 ? nullptr : row + sx * channels + i;
        WritePixel<N, kJitter>(c, d, mean, from, i, plane, to + x);
      }
    }
  }
}

}  // namespace images

DISTIL_HOST_DEVICE inline ImageDraw DrawImage(const ImageChange& c, uint32_t epoch, uint32_t id) {
  ImageDraw d = {};
  if (c.pad > 0) {
    const auto r = RandomWords(c.seed, Purpose::kCrop, epoch, id, 0);
    d.dy = static_cast<int>(ToRange(r[0], static_cast<uint32_t>(2 * c.pad + 1))) - c.pad;
    d.dx = static_cast<int>(ToRange(r[1], static_cast<uint32_t>(2 * c.pad + 1))) - c.pad;
  }
  if (c.flip > 0) d.flip = ToUnit(RandomWords(c.seed, Purpose::kFlip, epoch, id, 0)[0]) < c.flip;
  if (c.cutout > 0) {
    const auto r = RandomWords(c.seed, Purpose::kCutout, epoch, id, 0);
    const int y = static_cast<int>(ToRange(r[0], static_cast<uint32_t>(c.height))) - c.cutout / 2;
    const int x = static_cast<int>(ToRange(r[1], static_cast<uint32_t>(c.width))) - c.cutout / 2;
    d.top = images::Max(y, 0), d.bottom = images::Min(y + c.cutout, c.height);
    d.left = images::Max(x, 0), d.right = images::Min(x + c.cutout, c.width);
  }
  d.before_contrast = -1;
  if (!c.jitter) return d;
  const auto r = RandomWords(c.seed, Purpose::kColor, epoch, id, 0);
  const float u[4] = {ToUnit(r[1]), ToUnit(r[2]), ToUnit(r[3]), ToUnit(r[0] << 8)};
  int order[4];
  images::Order(ToRange(r[0], 24), order);
  for (int change : order) {
    const float s = c.strength[change];
    if (s == 0) continue;
    if (change == 1) d.before_contrast = d.changes;
    d.change[d.changes] = change;
    d.factor[d.changes++] = change == 3 ? s * (2 * u[3] - 1) : images::Max(1 - s + 2 * s * u[change], 0.0f);
  }
  return d;
}

// For contrast: the sum of grey over pixels first, first + step, ... in units of 2^-20.
DISTIL_HOST_DEVICE inline int64_t GreySum(const ImageChange& c, const ImageDraw& d, const uint8_t* image, int first,
                                          int step) {
  return c.channels == 3 ? images::GreySum<3>(c, d, image, first, step) : images::GreySum<1>(c, d, image, first, step);
}
DISTIL_HOST_DEVICE inline float GreyMean(const ImageChange& c, int64_t sum) {
  return static_cast<float>(static_cast<double>(sum) / 1048576.0 / static_cast<double>(c.height * c.width));
}

// Row y of the result, in all channels of `out` [c,h,w]: its pixels first, first + step, ... `mean` is of grey, where
// contrast changes.
DISTIL_HOST_DEVICE inline void WriteRow(const ImageChange& c, const ImageDraw& d, float mean, const uint8_t* image,
                                        int y, int first, int step, float* out) {
  if (c.channels == 3 && !c.jitter) return images::WriteRow<3, false>(c, d, mean, image, y, first, step, out);
  if (c.channels == 3) return images::WriteRow<3, true>(c, d, mean, image, y, first, step, out);
  if (!c.jitter) return images::WriteRow<1, false>(c, d, mean, image, y, first, step, out);
  return images::WriteRow<1, true>(c, d, mean, image, y, first, step, out);
}

}  // namespace distil
