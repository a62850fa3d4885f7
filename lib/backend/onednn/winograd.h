// Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015)
// for convolutions of 3x3 at stride 1, and for their gradients:
//
//   forward    y  = A^T [ sum over c  (G g G^T) o (B^T x B) ] A         a quarter of the multiplications
//   by input   the forward one, with the kernel turned by 180 degrees and its channels exchanged
//   by weight  dg = G^T [ sum over tiles  (B^T x B) o (A dy A^T) ] G    the transpose of the forward one
//
// A tile is 4x4 of y and 6x6 of x. Each thread takes a run of tiles through all of it, in chunks that stay in its
// second-level cache: transform, 36 matrix products, transform back with bias, residual and ReLU. Computes in f32; images
// are f32 or bf16, in blocks of 16 channels.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/backend/onednn/primitives.h"

namespace distil::onednn {

// Whether the convolution is one of these. (Not whether it would be faster.)
bool WinogradCan(const ConvSpec& s);

// Operands as of Library::Conv; the weight is transformed by MakeWinogradWeight, or with the algorithm kWinogradInside
// row-major, and a weight gradient is row-major.
std::unique_ptr<Kernel> MakeWinograd(const ConvSpec& s, int threads);

// A row-major weight transformed for the forward convolution, or for the one by input; it takes this many bytes.
std::unique_ptr<Kernel> MakeWinogradWeight(const Shape& w, ConvKind kind, int threads);
size_t WinogradWeightBytes(const Shape& w);

}  // namespace distil::onednn
