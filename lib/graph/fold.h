// Fold: moves what follows a convolution into it. Shared by the backends whose convolutions take a bias, a residual and
// a ReLU along.
//
//   conv(x, w) [+ b] * s           -> conv(x, w s) [+ b s]     s one number per channel, w and s fixed: a frozen norm
//   conv(x, w) [+ b] + c           -> ... with bias b + c      c one number per channel
//   conv(x, w) [+ b] + r           -> ... with residual r      w fixed; in training r is needed elsewhere anyway
//   relu(conv(x, w) [+ b] [+ r])   -> ... with ReLU            w fixed; a convolution's ReLU may turn NaN into 0, which
//                                                              whoever watches training for NaN must not miss
//
// each only where nobody else uses the value on the left.
#pragma once

#include "lib/graph/graph.h"

namespace distil {

Graph Fold(const Graph& g);

}  // namespace distil
