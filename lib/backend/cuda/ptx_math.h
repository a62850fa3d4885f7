// The pointwise ops of pointwise.def in PTX, for f32.
//
// Comparisons, clipping and arithmetic are the formulas' own instructions, correctly rounded. Functions reduce their
// range and evaluate a polynomial with fused multiply-adds; they use no approximate instruction of the hardware, so
// that an emulation on the host gives the same bits. Largest errors: exp, log, log1p 1 ulp, tanh 1.5, sigmoid 2.5,
// pow 0.51 (tests/cuda/ptx_math_test.cc).
#pragma once

#include "lib/backend/cuda/ptx.h"
#include "lib/graph/graph.h"

namespace distil::cuda {

// Emits op(x, y, z), operands that the op does not have being ignored.
Val EmitPointwise(Asm* a, Op op, const Val& x, const Val& y, const Val& z);

}  // namespace distil::cuda
