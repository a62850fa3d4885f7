// The built-in generated data set: small pictures of one object, classed by shape, texture and colour.
//
// An object (a shape filled with a texture in a colour) lies at a random place, size and angle on a textured
// ground, among distractors, partly hidden, under noise and a colour cast. Classes share shapes, textures and
// colours in a fixed pattern, so some classes are alike and others are not. And some training labels are wrong,
// as labels are: the picture was taken for one of a class with the same shape or the same texture. Labels of the
// other splits are right. Soft labels of a network that has seen through both (the similarity and the mistakes)
// tell a small network more than the labels do, which is what makes the set one for distillation.
//
// A picture and its label are pure functions of (seed, split, sample): Purpose::kSynth. Nothing depends on how many
// there are, on order, or on the machine.
#pragma once

#include <cstdint>

#include "data/dataset.h"

namespace distil::data {

struct SynthOptions {
  int64_t train = 4000;
  int64_t test = 1000;
  int64_t val = 0;
  int classes = 20;           // 2 to 100
  int size = 32;              // side of the square RGB pictures, 16 to 256
  double difficulty = 1.0;    // 0 to 2: scales noise, clutter, occlusion, colour cast and rotation
  double wrong_labels = 0.3;  // share of the training labels, 0 to 0.5
  uint64_t seed = 1;
};
Status MakeSynth(const SynthOptions& options, Dataset* dataset);

// One picture of an object of class `label`, size x size x 3, for those who want a single one.
void RenderSynth(const SynthOptions& options, SplitKind split, uint32_t sample, int label, uint8_t* pixels);

}  // namespace distil::data
