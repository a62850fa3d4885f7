// Composites that networks and losses share, written with primitives.
#pragma once

#include "lib/expr/expr.h"

namespace distil {

Expr LogSoftmax(Expr z);                                    // over the last axis:  z - max z - log sum exp(z - max z)
Expr Softmax(Expr z);                                       // over the last axis
Expr OneHot(Expr labels, int64_t classes);                  // index [n] -> [n,classes]
Expr PickLabel(Expr x, Expr labels);                        // x [n,k], index [n] -> x[i, labels[i]], [n,1]
Expr L2Norm(Expr x, const Axes& axes, double eps = 1e-12);  // max(||x||, eps); gradient finite at 0
Expr L2Normalize(Expr x, const Axes& axes, double eps = 1e-12);  // x / L2Norm(x)
Expr GlobalAvgPool(Expr x);                                      // [n,c,h,w] -> [n,c]
Expr ResizeBilinear(Expr x, int64_t h, int64_t w);               // half-pixel centres (PyTorch's align_corners=False)
Expr ResizeNearest(Expr x, int64_t h, int64_t w);                // source index floor(i * in / out)
Expr ChannelShuffle(Expr x, int64_t groups);  // [n, g k, h, w]: channel (i,j) of (g,k) moves to (j,i)
// k-th smallest along the last axis (k = 0: the minimum), extent 1. Gradient goes to the chosen element.
Expr KthSmallest(Expr x, int64_t k);
// The k largest along the last axis, largest first, extent k.
Expr TopK(Expr x, int64_t k);
// Inverted dropout: x / (1-p) where a uniform number is at least p. Needs the step's key and sample ids; one slot a
// use.
Expr Dropout(Expr x, double p, Expr key, Expr ids, int slot);

}  // namespace distil
