// Formulas that methods share. z: logits [n,k]; labels: index [n]; x: [n,d]; f: maps [n,c,h,w].
#pragma once

#include "lib/expr/layers.h"
#include "losses/method.h"

namespace distil {

// 1/n sum_b sum_k q log 1/softmax(z),  q = (1 - smoothing) onehot + smoothing / k     (PyTorch's label
// smoothing)
Expr CrossEntropy(Expr z, Expr labels, double smoothing = 0);

// KL of softmax(target / T) to softmax(z / T), per sample: [n,1]. No factor T^2.
Expr KlPerSample(Expr target, Expr z, double T);
// Its mean over samples ("batchmean"): summed over classes, never divided by their number.
Expr Kl(Expr target, Expr z, double T);

Expr MeanSquare(Expr a, Expr b);  // mean of (a - b)^2 over all elements
Expr SmoothL1(Expr e);            // e^2 / 2 where |e| < 1, else |e| - 1/2; elementwise
Expr SafeSqrt(Expr x);            // sqrt of x >= 0 with gradient 0 at 0

Expr Gram(Expr x);              // x x', [n,n]
Expr PairwiseDistance(Expr x);  // ||x_i - x_j||, [n,n]; 0 with gradient 0 for equal rows

// Averages the larger of two maps to the smaller one's height, and likewise the width.
void PoolToSmaller(Expr* f, Expr* g);
// Why that would not be an average over whole windows, or "".
std::string CannotPool(const Shape& f, const Shape& g);
// Why there are no stages to compare, or "": a network needs two taps, its stem and a stage.
std::string CannotFindStages(const Features& t, const Features& s);
// The same, or why they have not equally many.
std::string CannotMatchStages(const Features& t, const Features& s);
// Why the stages 1..K of two networks cannot be compared one with one after pooling, or "". With pairs=common, those
// that both have are compared; `method` is for the message. whole: windows of the averages must be whole ones (CannotPool).
std::string CannotPairStages(const Features& t, const Features& s, const MethodOptions& o, const std::string& method,
                             bool whole = true);
inline constexpr OptionSpec kPairsOption = {
    "pairs", "all", "all: both networks must have equally many stages; common: those that both have", "all|common"};
// Why logits do not agree, or "".
std::string CannotCompareClasses(const Features& t, const Features& s);

// A trained map from f to the shape of a target: a convolution and a batch norm, "conv" and "bn" in `l`. The
// convolution depends on the extents h of f and h' of the target:
//   h = 2h'  3x3, stride 2, padding 1         2h = h'  transposed, 4x4, stride 2, padding 1
//   h >= h'  (1 + h - h') squared, no padding, thus 1x1 where they are equal
// (RepDistiller's ConvReg; there, kernels may differ between height and width, and widths are not looked at.)
Expr Regress(Layers& l, Expr f, const Shape& target);
// Why Regress cannot do it, or "".
std::string CannotRegress(const Shape& f, const Shape& target);

}  // namespace distil
