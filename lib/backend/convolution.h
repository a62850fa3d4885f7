// The three convolutions as backends see them: by the shapes of the forward one, whichever it is.
#pragma once

#include <string>

#include "lib/graph/graph.h"

namespace distil {

enum class ConvKind { kForward, kInput, kWeight };

// x [n,c,h,w], w [o,c/groups,kh,kw], y [n,o,h',w'].
struct ConvSpec {
  ConvKind kind;
  Shape x, w, y;
  ConvAttrs attrs;
  Layout x_layout, y_layout;
  bool bf16;                         // x, w and y; a backend may keep a weight gradient in f32
  Layout w_layout = Layout::kPlain;  // where it is not opaque
};

bool IsConv(Op op);
ConvKind KindOf(Op op);
// The convolution that a node stands for, from the shapes, layouts and formats of its operands.
ConvSpec SpecOf(const Graph& g, const Node& n);
// "conv2d by weight, x [64,16,32,32], w [32,16,3,3], stride 2 2, pad 1 1, bf16": how messages name it.
std::string Describe(const ConvSpec& s);

}  // namespace distil
