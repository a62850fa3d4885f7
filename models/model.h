// Model: a network family as a function from an image batch to features. A family's file holds the architecture and its
// taps, nothing else; models.def lists the networks, one line each.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/expr/layers.h"

namespace distil {

// A feature map that methods may use. Both sides of the block-ending activation are always there; where an architecture
// has no activation at this place, both are the same value.
struct Tap {
  Expr pre, post;
};

struct Features {
  std::vector<Tap> taps;  // f0 = stem, f1..fK = stages
  Expr map;               // [n,c,h,w], what global pooling reads (after a final norm and activation, if any)
  Expr pooled;            // [n,c]
  Expr logits;            // [n,classes]
};

struct BuildOptions {
  int64_t classes = 100;
  // k > 0: `x` is the output (f_k, post) of stage k, and only stages k+1.. and the head are built: a fresh tail of the
  // network, as deeply supervised methods attach it to shallow stages. The taps then start with `x` itself.
  int first_stage = 0;
};

struct Model {
  const char* name;    // "resnet8x4"
  const char* family;  // "resnet_cifar"
  const char* source;  // paper, and whose variant of the architecture
  int stages;          // K: taps are f0..fK
  int64_t input[3];    // channels, height, width that the published counts are for
  int config[4];       // the family's own numbers (depth, width, ...), from models.def
  Features (*builder)(Layers& l, Expr x, const Model& m, const BuildOptions& o);

  // Builds the network on x [n,c,h,w]. Images of other sizes than the published one are fine as long as every stage
  // keeps a pixel; a mistake leaves its message in the graph.
  Features Build(Layers& l, Expr x, const BuildOptions& o) const;
};

std::span<const Model> AllModels();
const Model* FindModel(std::string_view name);  // nullptr if there is none

// Trainable scalars, and multiplications of convolutions and linear layers for one image (biases, norms, pooling not
// counted), from the graph of a forward pass.
struct ModelCost {
  int64_t parameters, macs;
};
ModelCost CostOf(const Graph& g, int64_t batch);

}  // namespace distil
