// Wide ResNet, depth 6k+4: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016.
//
// Variant of RepDistiller (Tian et al., ICLR 2020): stem without norm; pre-activation blocks with the stride on the
// first convolution; where the width changes, the block input is normed and rectified once, for the branch and for the
// bare 1x1 shortcut alike. Parameter names and initialisation are RepDistiller's.
//
// Taps: f0 = the raw stem, f1..f3 = the raw sums at the stages' ends, all signed. `pre` of f1..f3 = the sum after the
// next batch norm (of the next stage's first block, at last the network's own), before its ReLU. It is the very value
// that the network goes on with, so its running statistics are updated once a step.
// Departure: global average instead of the fixed 8x8 window, as in resnet_cifar.cc.
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr ConvOptions kConv = {.init = ConvOptions::kHeFanOut};

// x: the raw input, normed: bn1(x).
Expr Block(Layers& l, Expr x, Expr normed, int64_t width, int64_t stride) {
  ConvOptions strided = kConv;
  strided.stride = stride;
  Expr active = Relu(normed);
  Expr y = Relu(l.BatchNorm("bn2", l.Conv("conv1", active, width, 3, strided)));
  y = l.Conv("conv2", y, width, 3, kConv);
  return y + (x.dim(1) == width ? x : l.Conv("convShortcut", active, width, 1, strided));
}

Features Build(Layers& l, Expr x, const Model& m, const BuildOptions& o) {
  const int blocks = (m.config[0] - 4) / 6;
  const int64_t width = 16 * m.config[1];
  Features f;
  if (o.first_stage == 0) x = l.Conv("conv1", x, 16, 3, kConv);
  f.taps.push_back({x, x});
  for (int s = o.first_stage; s < 3; ++s) {  // [n,width,h,w], [n,2width,h/2,w/2], [n,4width,h/4,w/4]
    Layers stage = l.Scope("block" + std::to_string(s + 1));
    for (int b = 0; b < blocks; ++b) {
      Layers block = stage.Scope("layer." + std::to_string(b));
      Expr normed = block.BatchNorm("bn1", x);
      if (s > 0 && b == 0) f.taps.back().pre = normed;
      x = Block(block, x, normed, width << s, s > 0 && b == 0 ? 2 : 1);
    }
    f.taps.push_back({x, x});
  }
  f.taps.back().pre = l.BatchNorm("bn1", x);
  f.map = Relu(f.taps.back().pre);
  f.pooled = GlobalAvgPool(f.map);
  f.logits = l.Linear("fc", f.pooled, o.classes, {.zero_bias = true});
  return f;
}

}  // namespace

const Family kWrn = {"wrn", "Zagoruyko and Komodakis, BMVC 2016; RepDistiller's variant", Build};

}  // namespace distil
