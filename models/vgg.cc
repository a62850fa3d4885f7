// VGG with batch norm: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
// ICLR 2015.
//
// Variant of RepDistiller (Tian et al., ICLR 2020): five groups of 3x3 convolutions with bias, each followed by batch
// norm and ReLU; max pooling after groups 0, 1 and 2; global average and one linear layer. Group 3 is pooled for large
// images only, so that at 32x32 groups 3 and 4 both work at 4x4. Parameter names and initialisation are RepDistiller's
// ("block<g>.<3j>" is convolution j, its norm has the next number).
//
// Taps: f0..f4 = the groups before pooling; `pre` before the group's last ReLU, but f0 is the same on both sides, as in
// the reference.
// Departure: the reference pools group 3 for images of height 64 exactly; here the rule is "from 64 on".
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr ConvOptions kConv = {.bias = true, .init = ConvOptions::kHeFanOut};
constexpr int64_t kWidth[] = {64, 128, 256, 512, 512};

// Ends before the last ReLU.
Expr Group(Layers l, Expr x, int convs, int64_t width) {
  for (int j = 0; j < convs; ++j) {
    if (j) x = Relu(x);
    x = l.Conv(std::to_string(3 * j), x, width, 3, kConv);
    x = l.BatchNorm(std::to_string(3 * j + 1), x);
  }
  return x;
}

Features Build(Layers& l, Expr x, const Model& m, const BuildOptions& o) {
  const PoolAttrs half = {.kernel = {2, 2}, .stride = {2, 2}};
  Features f;
  if (o.first_stage > 0) f.taps.push_back({x, x});
  for (int g = o.first_stage > 0 ? o.first_stage + 1 : 0; g < 5; ++g) {
    if (g > 0 && (g < 4 || x.dim(2) >= 8)) {  // f3 of a 64x64 image is 8x8
      if (x.valid() && (x.dim(2) < 2 || x.dim(3) < 2))
        l.graph()->Fail(std::string(m.name) + ": the images are too small, 8x8 is the least: group " +
                        std::to_string(g) + " would get " + x.shape().ToString());
      x = MaxPool(x, half);
    }
    Expr pre = Group(l.Scope("block" + std::to_string(g)), x, m.config[g < 2 ? 0 : 1], kWidth[g]);
    x = Relu(pre);
    f.taps.push_back({g == 0 ? x : pre, x});
  }
  f.map = x;
  f.pooled = GlobalAvgPool(x);
  f.logits = l.Linear("classifier", f.pooled, o.classes, {.weight_std = 0.01, .zero_bias = true});
  return f;
}

}  // namespace

const Family kVgg = {"vgg", "Simonyan and Zisserman, ICLR 2015; RepDistiller's variant with batch norm", Build};

}  // namespace distil
