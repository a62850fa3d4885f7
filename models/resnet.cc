// ResNet with four stages: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.1.
//
// Variant of RepDistiller (Tian et al., ICLR 2020), for 32x32 images: a 3x3 stem without stride or pooling. A
// projection shortcut wherever stride or width changes; a bottleneck has its stride on the 3x3 convolution. Parameter
// names and initialisation are RepDistiller's.
//
// Taps: f0 = the stem after its ReLU; f1..f4 = the stages, `pre` before the last block's final ReLU.
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr ConvOptions kConv = {.init = ConvOptions::kHeFanOut};
constexpr int kBlocks18[] = {2, 2, 2, 2}, kBlocks34[] = {3, 4, 6, 3};  // 50, with bottlenecks, has 34's

// The sum before the final ReLU: [n,width,h/stride,w/stride], or for bottlenecks of 4 width.
Expr Block(Layers l, Expr x, int64_t width, int64_t stride, bool bottleneck) {
  ConvOptions strided = kConv;
  strided.stride = stride;
  const int64_t out = bottleneck ? 4 * width : width;
  Expr y;
  if (bottleneck) {
    y = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, width, 1, kConv)));
    y = Relu(l.BatchNorm("bn2", l.Conv("conv2", y, width, 3, strided)));
    y = l.BatchNorm("bn3", l.Conv("conv3", y, out, 1, kConv));
  } else {
    y = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, width, 3, strided)));
    y = l.BatchNorm("bn2", l.Conv("conv2", y, width, 3, kConv));
  }
  if (stride == 1 && x.dim(1) == out) return y + x;
  return y + l.BatchNorm("shortcut.1", l.Conv("shortcut.0", x, out, 1, strided));
}

Features Build(Layers& l, Expr x, const Model& m, const BuildOptions& o) {
  const int depth = m.config[0];
  const int* blocks = depth == 18 ? kBlocks18 : kBlocks34;
  Features f;
  if (o.first_stage == 0) x = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, 64, 3, kConv)));
  f.taps.push_back({x, x});
  for (int s = o.first_stage; s < 4; ++s) {  // sides h, h/2, h/4, h/8; widths 64, 128, 256, 512, four times in ResNet50
    Layers stage = l.Scope("layer" + std::to_string(s + 1));
    Expr sum;
    for (int b = 0; b < blocks[s]; ++b) {
      sum = Block(stage.Scope(std::to_string(b)), x, int64_t{64} << s, s > 0 && b == 0 ? 2 : 1, depth >= 50);
      x = Relu(sum);
    }
    f.taps.push_back({sum, x});
  }
  f.map = x;
  f.pooled = GlobalAvgPool(x);
  f.logits = l.Linear("linear", f.pooled, o.classes);
  return f;
}

}  // namespace

const Family kResNet = {"resnet", "He et al., CVPR 2016, section 4.1; RepDistiller's variant", Build};

}  // namespace distil
