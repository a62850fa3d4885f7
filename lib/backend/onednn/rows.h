// Direct convolutions of 3x3 at stride 1 or 2, and at stride 1 those by input, which are forward ones with the kernel
// turned by 180 degrees and its channels exchanged. A row of y is cut into equal runs of neighbouring pixels, whose sums
// for 32 channels stay in registers over 16 inputs and all taps; taps outside the image are left out, and the pixels that
// the next row needs are fetched ahead. Every number is the same sum in the same order, whatever the batch and the number
// of threads. Images are f32 in blocks of 16 channels.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/backend/onednn/primitives.h"

namespace distil::onednn {

// Whether the convolution is one of these. (Not whether it would be faster.)
bool RowsCan(const ConvSpec& s);

// Operands as of Library::Conv, for the one by input of the convolution Turned(s); the weight as of BlockedWeight.
std::unique_ptr<Kernel> MakeRows(const ConvSpec& s, int threads);

}  // namespace distil::onednn
