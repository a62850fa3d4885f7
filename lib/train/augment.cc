#include "lib/train/augment.h"

#include <algorithm>
#include <string>

namespace distil {

Status Augmenter::Create(const std::vector<double>& mean, const std::vector<double>& std, int64_t channels,
                         int64_t height, int64_t width, Augmenter* out) {
  Augmenter a;
  ImageChange& change = a.change_;
  change.channels = static_cast<int>(channels);
  change.height = static_cast<int>(height), change.width = static_cast<int>(width);
  for (const auto* v : {&mean, &std}) {
    if (v->size() != 1 && v->size() != static_cast<size_t>(channels))
      return InvalidArgument(std::string("option ") + (v == &mean ? "mean" : "std") + ": " + std::to_string(v->size()) +
                             " numbers for images of " + std::to_string(channels) + " channels");
  }
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const double m = mean[mean.size() == 1 ? 0 : c], s = std[std.size() == 1 ? 0 : c];
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
  ImageChange& change = a.change_;
  change.seed = o.seed;
  change.pad = static_cast<int>(o.crop_pad), change.cutout = static_cast<int>(o.cutout);
  change.reflect = o.crop_mode == "reflect";
  change.flip = static_cast<float>(o.flip);
  const double strength[4] = {o.brightness, o.contrast, o.saturation, o.hue};
  for (int i = 0; i < 4; ++i) {
    change.strength[i] = static_cast<float>(strength[i]);
    change.jitter |= change.strength[i] > 0;
  }
  if ((change.strength[2] > 0 || change.strength[3] > 0) && channels != 3)
    return InvalidArgument("options saturation and hue need images of 3 channels, these have " +
                           std::to_string(channels));
  if (change.reflect && change.pad >= std::min(height, width))
    return InvalidArgument("option crop_pad=" + std::to_string(change.pad) + ": an image of " + std::to_string(height) +
                           "x" + std::to_string(width) + " cannot be mirrored that far");
  *out = std::move(a);
  return {};
}

ImageChange Augmenter::change() const {
  ImageChange c = change_;
  c.table = table_.data(), c.scale = scale_.data(), c.shift = shift_.data();
  return c;
}

void Augmenter::Run(const uint8_t* image, uint32_t epoch, uint32_t id, float* out) const {
  const ImageChange c = change();
  const ImageDraw d = DrawImage(c, epoch, id);
  const float mean = d.before_contrast < 0 ? 0 : GreyMean(c, GreySum(c, d, image, 0, 1));
  for (int y = 0; y < c.height; ++y) WriteRow(c, d, mean, image, y, 0, 1, out);
}

}  // namespace distil
