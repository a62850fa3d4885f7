// CIFAR ResNet, depth 6k+2: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.
//
// Variant of RepDistiller (Tian et al., ICLR 2020): a projection shortcut wherever stride or width changes (option B).
// The "x4" networks have stages of 64, 128, 256 channels behind a stem of 32, so their stage 1 projects too. Parameter
// names and initialisation are RepDistiller's.
//
// Taps: f0 = the stem after its ReLU; f1..f3 = the stages, `pre` before the last block's final ReLU.
// Departure: the last map is averaged globally, where the reference has a fixed 8x8 window and thus takes 32x32 images
// only. For those it is the same.
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr ConvOptions kConv = {.init = ConvOptions::kHeFanOut};

// The sum before the final ReLU.
Expr Block(Layers l, Expr x, int64_t width, int64_t stride) {
  ConvOptions strided = kConv;
  strided.stride = stride;
  Expr y = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, width, 3, strided)));
  y = l.BatchNorm("bn2", l.Conv("conv2", y, width, 3, kConv));
  if (stride == 1 && x.dim(1) == width) return y + x;
  return y + l.BatchNorm("downsample.1", l.Conv("downsample.0", x, width, 1, strided));
}

Features Build(Layers& l, Expr x, const Model& m, const BuildOptions& o) {
  const int depth = m.config[0], blocks = (depth - 2) / 6;
  const int64_t stem = m.config[1], width = m.config[2];
  Features f;
  if (o.first_stage == 0) x = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, stem, 3, kConv)));
  f.taps.push_back({x, x});
  for (int s = o.first_stage; s < 3; ++s) {  // [n,width,h,w], [n,2width,h/2,w/2], [n,4width,h/4,w/4]
    Layers stage = l.Scope("layer" + std::to_string(s + 1));
    Expr sum;
    for (int b = 0; b < blocks; ++b) {
      sum = Block(stage.Scope(std::to_string(b)), x, width << s, s > 0 && b == 0 ? 2 : 1);
      x = Relu(sum);
    }
    f.taps.push_back({sum, x});
  }
  f.map = x;
  f.pooled = GlobalAvgPool(x);
  f.logits = l.Linear("fc", f.pooled, o.classes);
  return f;
}

}  // namespace

const Family kResNetCifar = {"resnet_cifar", "He et al., CVPR 2016, section 4.2; RepDistiller's variant", Build};

}  // namespace distil
