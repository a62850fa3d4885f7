// The inner part of rows.h's convolutions, on vectors of 16 channels. Compiled for AVX-512 in rows_ops.cc, so to be
// called only where Library::wide().
#pragma once

#include <cstdint>

namespace distil::onednn::rows {

inline constexpr int kPixels = 14;  // the most that Convolve takes at once

// Neighbouring pixels of a row of y, in one or two blocks of 16 outputs. Steps count floats.
struct Run {
  const float* x;  // under the middle of the kernel's first row that is used, for the first pixel, in the first block
  int64_t x_row, x_block, x_blocks;
  const float* w;  // the first block of outputs in [o / 16, c / 16, 3, 3, 16 inputs, 16 outputs]
  int64_t w_block;
  int first_row, end_row;  // of the kernel, without what lies above or below the image
  bool left, right;        // whether the first pixel's left, the last one's right neighbour lies outside
  float* y;
  int64_t y_block;
  const float *bias, *residual;  // of the first block of outputs, and as y; may be null
  bool relu;
};

// y = sum over c, k of x w + bias + residual and a ReLU. `stride` is 1 or 2, `vectors` the blocks of outputs, 1 or 2.
void Convolve(int pixels, int vectors, int stride, const Run& run);

}  // namespace distil::onednn::rows
