// ShuffleNet: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
// CVPR 2018, with 3 groups.
//
// Variant of RepDistiller (Tian et al., ICLR 2020), for 32x32 images: a 1x1 stem without stride or pooling; a ReLU
// behind the depthwise convolution, too. Parameter names and initialisation (PyTorch's) are RepDistiller's.
//
// Taps: f0 = the stem after its ReLU; f1..f3 = the stages, `pre` before the last unit's final ReLU.
// Departure: global average instead of the fixed 4x4 window, as in resnet_cifar.cc.
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr int64_t kStem = 24, kGroups = 3;
constexpr int kUnits[] = {4, 8, 4};

// The value before the final ReLU: [n,width,h,w] = x + branch, or with stride 2 [n,width,h/2,w/2] = [branch, average of x].
Expr Unit(Layers l, Expr x, int64_t width, int64_t stride) {
  const int64_t out = stride == 2 ? width - x.dim(1) : width, mid = out / 4;
  const int64_t groups = x.dim(1) == kStem ? 1 : kGroups;  // of the first convolution: the stem is too thin for three
  Expr y = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, mid, 1, {.groups = groups})));
  if (groups > 1) y = ChannelShuffle(y, groups);
  y = Relu(l.BatchNorm("bn2", l.Conv("conv2", y, mid, 3, {.stride = stride, .groups = mid})));
  y = l.BatchNorm("bn3", l.Conv("conv3", y, out, 1, {.groups = kGroups}));
  if (stride == 1) return y + x;
  return Concat({y, AvgPool(x, {.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}})}, 1);
}

Features Build(Layers& l, Expr x, const Model&, const BuildOptions& o) {
  Features f;
  if (o.first_stage == 0) x = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, kStem, 1)));
  f.taps.push_back({x, x});
  for (int s = o.first_stage; s < 3; ++s) {  // [n,240,h/2,w/2], [n,480,h/4,w/4], [n,960,h/8,w/8]
    Layers stage = l.Scope("layer" + std::to_string(s + 1));
    Expr pre;
    for (int u = 0; u < kUnits[s]; ++u) {
      pre = Unit(stage.Scope(std::to_string(u)), x, int64_t{240} << s, u == 0 ? 2 : 1);
      x = Relu(pre);
    }
    f.taps.push_back({pre, x});
  }
  f.map = x;
  f.pooled = GlobalAvgPool(x);
  f.logits = l.Linear("linear", f.pooled, o.classes);
  return f;
}

}  // namespace

const Family kShuffleNetV1 = {"shufflenet_v1", "Zhang et al., CVPR 2018; RepDistiller's variant", Build};

}  // namespace distil
