// ShuffleNetV2: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018.
//
// Variant of RepDistiller (Tian et al., ICLR 2020), for 32x32 images: a 1x1 stem without stride or pooling; the shuffle
// with two groups ends every unit. Parameter names and initialisation (PyTorch's) are RepDistiller's.
//
// Taps: f0 = the stem after its ReLU; f1..f3 = the stages. Their `pre` is the last unit before its last ReLU and before
// the shuffle: the half that it kept, then the other's batch norm. So it has another order of channels than `post`, and
// half of them are rectified, as in the reference. Pooling reads the last 1x1 convolution's map (1024 wide).
// Departure: global average instead of the fixed 4x4 window, as in resnet_cifar.cc.
#include <string>

#include "models/families.h"

namespace distil {
namespace {

constexpr int kUnits[] = {4, 8, 4};

Tap Join(Expr kept, Expr normed) {
  return {Concat({kept, normed}, 1), ChannelShuffle(Concat({kept, Relu(normed)}, 1), 2)};
}

// Half of the channels pass, half are processed: [n,c,h,w] each.
Tap Unit(Layers l, Expr x) {
  const int64_t half = x.dim(1) / 2;
  Expr y = Slice(x, 1, half, half);
  y = Relu(l.BatchNorm("bn1", l.Conv("conv1", y, half, 1)));
  y = l.BatchNorm("bn2", l.Conv("conv2", y, half, 3, {.groups = half}));
  return Join(Slice(x, 1, 0, half), l.BatchNorm("bn3", l.Conv("conv3", y, half, 1)));
}

// Both branches take all of x and halve its sides: [n,width,h/2,w/2].
Tap Down(Layers l, Expr x, int64_t width) {
  const int64_t in = x.dim(1), half = width / 2;
  Expr left = l.BatchNorm("bn1", l.Conv("conv1", x, in, 3, {.stride = 2, .groups = in}));
  left = Relu(l.BatchNorm("bn2", l.Conv("conv2", left, half, 1)));
  Expr right = Relu(l.BatchNorm("bn3", l.Conv("conv3", x, half, 1)));
  right = l.BatchNorm("bn4", l.Conv("conv4", right, half, 3, {.stride = 2, .groups = half}));
  return Join(left, l.BatchNorm("bn5", l.Conv("conv5", right, half, 1)));
}

Features Build(Layers& l, Expr x, const Model&, const BuildOptions& o) {
  Features f;
  if (o.first_stage == 0) x = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, 24, 1)));
  f.taps.push_back({x, x});
  for (int s = o.first_stage; s < 3; ++s) {  // [n,116,h/2,w/2], [n,232,h/4,w/4], [n,464,h/8,w/8]
    Layers stage = l.Scope("layer" + std::to_string(s + 1));
    Tap tap = Down(stage.Scope("0"), f.taps.back().post, int64_t{116} << s);
    for (int u = 1; u < kUnits[s]; ++u) tap = Unit(stage.Scope(std::to_string(u)), tap.post);
    f.taps.push_back(tap);
  }
  f.map = Relu(l.BatchNorm("bn2", l.Conv("conv2", f.taps.back().post, 1024, 1)));
  f.pooled = GlobalAvgPool(f.map);
  f.logits = l.Linear("linear", f.pooled, o.classes);
  return f;
}

}  // namespace

const Family kShuffleNetV2 = {"shufflenet_v2", "Ma et al., ECCV 2018; RepDistiller's variant", Build};

}  // namespace distil
