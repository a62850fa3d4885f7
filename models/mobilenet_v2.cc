// MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
//
// Variant of RepDistiller (Tian et al., ICLR 2020), for 32x32 images and of half width: a stem of stride 2, no stride in
// stage 2, widths multiplied and truncated (not rounded to multiples of 8), ReLU for ReLU6, no dropout. The block with
// expansion 1 keeps its expanding convolution. Parameter names and initialisation are RepDistiller's.
//
// Taps: f0 = the stem after its ReLU; f1..f4 = the ends of stages 2, 3, 5 and 7, which are linear bottlenecks: `pre` is
// `post`. Pooling reads the last 1x1 convolution's map (1280 wide) after its ReLU.
// Departure: global average instead of the fixed 2x2 window, as in resnet_cifar.cc.
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr ConvOptions kConv = {.init = ConvOptions::kHeFanOut};

struct Stage {
  int64_t expansion, width;  // of the network of full width
  int blocks;
  int64_t stride;
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 1},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
constexpr int kTapped[] = {0, 2, 3, 5, 7};  // f_k is the output of so many stages

Expr Block(Layers l, Expr x, int64_t expansion, int64_t width, int64_t stride) {
  const int64_t hidden = expansion * x.dim(1);
  ConvOptions depthwise = kConv;
  depthwise.stride = stride;
  depthwise.groups = hidden;
  Expr y = Relu(l.BatchNorm("1", l.Conv("0", x, hidden, 1, kConv)));
  y = Relu(l.BatchNorm("4", l.Conv("3", y, hidden, 3, depthwise)));
  y = l.BatchNorm("7", l.Conv("6", y, width, 1, kConv));
  return stride == 1 && x.dim(1) == width ? x + y : y;
}

Features Build(Layers& l, Expr x, const Model& m, const BuildOptions& o) {
  auto scaled = [&](int64_t width) { return width * m.config[0] / 100; };
  Features f;
  if (o.first_stage == 0) {
    ConvOptions halve = kConv;
    halve.stride = 2;
    x = Relu(l.BatchNorm("conv1.1", l.Conv("conv1.0", x, scaled(32), 3, halve)));
  }
  f.taps.push_back({x, x});
  for (int k = o.first_stage; k < 4;
       ++k) {  // half width: [n,12,h/2,w/2], [n,16,h/4,w/4], [n,48,h/8,w/8], [n,160,h/16,w/16]
    for (int s = kTapped[k]; s < kTapped[k + 1]; ++s) {
      const Stage& stage = kStages[s];
      Layers blocks = l.Scope("blocks." + std::to_string(s));
      for (int b = 0; b < stage.blocks; ++b)
        x = Block(blocks.Scope(std::to_string(b) + ".conv"), x, stage.expansion, scaled(stage.width),
                  b == 0 ? stage.stride : 1);
    }
    f.taps.push_back({x, x});
  }
  f.map = Relu(l.BatchNorm("conv2.1", l.Conv("conv2.0", x, 1280, 1, kConv)));
  f.pooled = GlobalAvgPool(f.map);
  f.logits = l.Linear("classifier.0", f.pooled, o.classes, {.weight_std = 0.01, .zero_bias = true});
  return f;
}

}  // namespace

const Family kMobileNetV2 = {"mobilenet_v2", "Sandler et al., CVPR 2018; RepDistiller's variant", Build};

}  // namespace distil
