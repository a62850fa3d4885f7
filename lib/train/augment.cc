#include "lib/train/augment.h"

#include <algorithm>
#include <cmath>

#include "lib/base/random.h"

namespace distil {
namespace {

constexpr float kGrey[3] = {0.299f, 0.587f, 0.114f};

float Clamp01(float x) { return std::min(std::max(x, 0.0f), 1.0f); }

float Grey(const float* p, int channels) {
  return channels == 3 ? kGrey[0] * p[0] + kGrey[1] * p[1] + kGrey[2] * p[2] : p[0];
}

// RGB with its hue turned by t (1 is a full turn): to HSV (A. R. Smith, 1978) and back.
void TurnHue(float* p, float t) {
  const float r = p[0], g = p[1], b = p[2];
  const float v = std::max({r, g, b}), low = std::min({r, g, b}), range = v - low;
  if (range == 0) return;  // grey has no hue
  float h = v == r ? (g - b) / range : v == g ? 2 + (b - r) / range : 4 + (r - g) / range;
  h = h / 6 + t;
  h = (h - std::floor(h)) * 6;
  const int sector = std::min(static_cast<int>(h), 5);
  const float f = h - static_cast<float>(sector), s = range / v;
  const float x = v * (1 - s), y = v * (1 - s * f), z = v * (1 - s * (1 - f));
  const float rgb[6][3] = {{v, z, x}, {y, v, x}, {x, v, z}, {x, y, v}, {z, x, v}, {v, x, y}};
  for (int c = 0; c < 3; ++c) p[c] = Clamp01(rgb[sector][c]);
}

// The k-th order of 0, 1, 2, 3, k from 0 to 23.
void Order(uint32_t k, int order[4]) {
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

// Mirror without repeating the border: -1 is 1, n is n - 2.
int Reflect(int i, int n) { return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i; }

}  // namespace

Status Augmenter::Create(const std::vector<double>& mean, const std::vector<double>& std, int64_t channels,
                         int64_t height, int64_t width, Augmenter* out) {
  Augmenter a;
  a.channels_ = static_cast<int>(channels), a.height_ = static_cast<int>(height), a.width_ = static_cast<int>(width);
  for (const auto* v : {&mean, &std}) {
    if (v->size() != 1 && v->size() != static_cast<size_t>(channels))
      return InvalidArgument(std::string("option ") + (v == &mean ? "mean" : "std") + ": " + std::to_string(v->size()) +
                             " numbers for images of " + std::to_string(channels) + " channels");
  }
  for (int c = 0; c < a.channels_; ++c) {
    const double m = mean[mean.size() == 1 ? 0 : static_cast<size_t>(c)];
    const double s = std[std.size() == 1 ? 0 : static_cast<size_t>(c)];
    for (int i = 0; i < 256; ++i) a.table_.push_back(static_cast<float>((i / 255.0 - m) / s));
    a.scale_.push_back(static_cast<float>(1 / s));
    a.shift_.push_back(static_cast<float>(-m / s));
  }
  *out = std::move(a);
  return {};
}

Status Augmenter::Create(const TrainingOptions& o, int64_t channels, int64_t height, int64_t width, Augmenter* out) {
  Augmenter a;
  DISTIL_RETURN_IF_ERROR(Create(o.mean, o.std, channels, height, width, &a));
  a.seed_ = o.seed;
  a.pad_ = static_cast<int>(o.crop_pad), a.cutout_ = static_cast<int>(o.cutout);
  a.reflect_ = o.crop_mode == "reflect";
  a.flip_ = static_cast<float>(o.flip);
  a.brightness_ = static_cast<float>(o.brightness), a.contrast_ = static_cast<float>(o.contrast);
  a.saturation_ = static_cast<float>(o.saturation), a.hue_ = static_cast<float>(o.hue);
  a.jitter_ = a.brightness_ > 0 || a.contrast_ > 0 || a.saturation_ > 0 || a.hue_ > 0;
  if ((a.saturation_ > 0 || a.hue_ > 0) && channels != 3)
    return InvalidArgument("options saturation and hue need images of 3 channels, these have " +
                           std::to_string(channels));
  if (a.reflect_ && a.pad_ >= std::min(height, width))
    return InvalidArgument("option crop_pad=" + std::to_string(a.pad_) + ": an image of " + std::to_string(height) +
                           "x" + std::to_string(width) + " cannot be mirrored that far");
  *out = std::move(a);
  return {};
}

void Augmenter::ChangeColor(int change, float strength) {
  const size_t count = static_cast<size_t>(height_) * static_cast<size_t>(width_), n = static_cast<size_t>(channels_);
  float mean = 0;
  if (change == 1) {
    int64_t sum = 0;
    for (size_t i = 0; i < count; ++i) sum += std::lrintf(Grey(&pixels_[i * n], channels_) * 1048576.0f);
    mean = static_cast<float>(static_cast<double>(sum) / 1048576.0 / static_cast<double>(count));
  }
  for (size_t i = 0; i < count; ++i) {
    float* p = &pixels_[i * n];
    if (change == 3) {
      TurnHue(p, strength);
      continue;
    }
    const float base = change == 0 ? 0 : change == 1 ? mean : Grey(p, channels_);
    for (size_t c = 0; c < n; ++c) p[c] = Clamp01(p[c] * strength + base * (1 - strength));
  }
}

void Augmenter::Jitter(const uint8_t* image, uint32_t epoch, uint32_t id) {
  const auto r = RandomWords(seed_, Purpose::kColor, epoch, id, 0);
  pixels_.resize(static_cast<size_t>(height_) * static_cast<size_t>(width_) * static_cast<size_t>(channels_));
  for (size_t i = 0; i < pixels_.size(); ++i) pixels_[i] = static_cast<float>(image[i]) / 255.0f;
  const float size[4] = {brightness_, contrast_, saturation_, hue_};
  const float u[4] = {ToUnit(r[1]), ToUnit(r[2]), ToUnit(r[3]), ToUnit(r[0] << 8)};
  int order[4];
  Order(ToRange(r[0], 24), order);
  for (int change : order) {
    const float s = size[change];
    if (s == 0) continue;
    ChangeColor(change, change == 3 ? s * (2 * u[3] - 1) : std::max(1 - s + 2 * s * u[change], 0.0f));
  }
}

template <class Pixel, class ToFloat>
void Augmenter::Place(const Pixel* image, uint32_t epoch, uint32_t id, ToFloat value, float* out) {
  int dy = 0, dx = 0;
  bool flip = false;
  if (pad_ > 0) {
    const auto r = RandomWords(seed_, Purpose::kCrop, epoch, id, 0);
    dy = static_cast<int>(ToRange(r[0], static_cast<uint32_t>(2 * pad_ + 1))) - pad_;
    dx = static_cast<int>(ToRange(r[1], static_cast<uint32_t>(2 * pad_ + 1))) - pad_;
  }
  if (flip_ > 0) flip = ToUnit(RandomWords(seed_, Purpose::kFlip, epoch, id, 0)[0]) < flip_;

  from_x_.resize(static_cast<size_t>(width_));
  for (int x = 0; x < width_; ++x) {
    const int sx = (flip ? width_ - 1 - x : x) + dx;
    const bool inside = sx >= 0 && sx < width_;
    from_x_[static_cast<size_t>(x)] = inside ? sx : reflect_ ? Reflect(sx, width_) : -1;
  }
  for (int c = 0; c < channels_; ++c) {
    const float black = value(c, Pixel(0));
    for (int y = 0; y < height_; ++y) {
      float* row = out + (static_cast<size_t>(c) * static_cast<size_t>(height_) + static_cast<size_t>(y)) *
                             static_cast<size_t>(width_);
      int sy = y + dy;
      if (sy < 0 || sy >= height_) {
        if (!reflect_) {
          std::fill(row, row + width_, black);
          continue;
        }
        sy = Reflect(sy, height_);
      }
      const Pixel* from = image +
                          static_cast<size_t>(sy) * static_cast<size_t>(width_) * static_cast<size_t>(channels_) +
                          static_cast<size_t>(c);
      for (int x = 0; x < width_; ++x) {
        const int sx = from_x_[static_cast<size_t>(x)];
        row[x] = sx < 0 ? black : value(c, from[static_cast<size_t>(sx) * static_cast<size_t>(channels_)]);
      }
    }
  }
  if (cutout_ > 0) {
    const auto r = RandomWords(seed_, Purpose::kCutout, epoch, id, 0);
    const int y0 = static_cast<int>(ToRange(r[0], static_cast<uint32_t>(height_))) - cutout_ / 2;
    const int x0 = static_cast<int>(ToRange(r[1], static_cast<uint32_t>(width_))) - cutout_ / 2;
    const int left = std::max(x0, 0), right = std::min(x0 + cutout_, width_);
    for (int c = 0; c < channels_; ++c)
      for (int y = std::max(y0, 0); y < std::min(y0 + cutout_, height_); ++y) {
        float* row = out + (static_cast<size_t>(c) * static_cast<size_t>(height_) + static_cast<size_t>(y)) *
                               static_cast<size_t>(width_);
        if (left < right) std::fill(row + left, row + right, 0.0f);
      }
  }
}

void Augmenter::Run(const uint8_t* image, uint32_t epoch, uint32_t id, float* out) {
  if (jitter_) {
    Jitter(image, epoch, id);
    Place(
        pixels_.data(), epoch, id,
        [this](int c, float v) { return v * scale_[static_cast<size_t>(c)] + shift_[static_cast<size_t>(c)]; }, out);
  } else {
    Place(
        image, epoch, id, [this](int c, uint8_t v) { return table_[static_cast<size_t>(c) * 256 + v]; }, out);
  }
}

}  // namespace distil
