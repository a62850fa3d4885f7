// The built-in generated data set: small pictures of one object, classed by shape, texture and colour.
//
// An object (a shape filled with a texture in a colour) lies at a random place, size and angle on a textured
// ground, among distractors, partly hidden, under noise and a colour cast. Classes share shapes, textures and
// colours in a fixed pattern, so some classes are alike and others are not: that similarity is what a
// teacher's soft labels tell and hard labels do not.
//
// A picture is a pure function of (seed, split, sample): Purpose::kSynth. Nothing depends on n or on order.
#pragma once

#include <cstdint>

#include "data/dataset.h"

namespace distil::data {

struct SynthOptions {
  int64_t train = 4000;
  int64_t test = 1000;
  int64_t val = 0;
  int classes = 16;  // 2 to 64
  int size = 32;     // side of the square RGB pictures, 16 to 256
  double difficulty =
      1.0;  // 0 (clean) to 2 (hopeless): scales noise, clutter, occlusion, colour cast and rotation
  uint64_t seed = 1;
};
Status MakeSynth(const SynthOptions& options, Dataset* dataset);

// One picture of `label`, size x size x 3, for those who want a single one.
void RenderSynth(const SynthOptions& options, SplitKind split, uint32_t sample, int label, uint8_t* pixels);

}  // namespace distil::data
