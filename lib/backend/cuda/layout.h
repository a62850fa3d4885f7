// What becomes of a graph before it runs on a GPU: composites expanded, frozen convolutions folded, pointwise chains
// fused, and then layouts and number formats. Host code only: it needs neither a toolkit nor a device.
//
// Layout follows from arithmetic. cuDNN's kernels for tensor cores (bf16, TF32) read images channels-last and weights
// as [o,kh,kw,i]; those for exact f32 read both row-major, and cuDNN transposes whole images into a workspace, twice a
// convolution, when they lie otherwise. So:
//   exact f32     everything row-major: no Reorder at all
//   bf16, TF32    images and weights kNhwc (a weight's axes o,i,kh,kw stored as o,kh,kw,i), from the images' Reorder at
//                 the input to the global pooling; weights of frozen networks are reordered once. Trained ones are once
//                 a step, by the conversion to bf16 that they need anyway; weight gradients are read where they lie.
// Fused, Slice, Pad, Concat and pooling nodes and channel shuffles keep the layout of their images; a Fused node may have
// operands in several. All else is row-major in f32. (tests/cuda/cudnn_engines_test shows on the real library which layouts its
// engines take without a workspace for transposed images. Speed was not measured: no GPU has run this.)
//
// bf16 mode: `low` values are kept in bf16; convolutions and large products of networks compute on bf16 factors with f32
// sums. A weight gradient leaves its convolution in bf16 (cuDNN has no engine that stores f32 there) and is added up in
// f32; weights, statistics, reductions and losses are f32. A folded bias is rounded to bf16 with the weights.
#pragma once

#include <functional>

#include "lib/backend/backend.h"
#include "lib/backend/convolution.h"
#include "lib/graph/graph.h"

namespace distil::cuda {

// Bits of ConvAttrs::algorithm, and of MatMul's ints[2]: what kernels must know of the compile options.
inline constexpr int64_t kTf32 = 1, kWinograd = 2;

inline bool UsesTensorCores(const ConvSpec& s) { return s.bf16 || (s.attrs.algorithm & kTf32); }

// Whether cuDNN can run a convolution, or why not. One with a residual, bias or ReLU that it cannot is split; one that
// it cannot run in bf16 runs in f32.
using ConvCheck = std::function<Status(const ConvSpec&)>;

// Rewrites `g` as above. Outputs and next values of variables end row-major in f32.
Status OptimizeGraph(const ConvCheck& check, const CompileOptions& options, Graph* g);

}  // namespace distil::cuda
