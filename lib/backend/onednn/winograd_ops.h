// The inner parts of Winograd's convolution on vectors of 16 channels; winograd.h says what they are parts of. Compiled
// for AVX-512 in winograd_ops.cc, so to be called only where Library::wide().
//
// E is float, or uint16_t for bf16. Images lie in blocks of 16 channels; a `plane` is one image's block, [h,w,16].
#pragma once

#include <cstdint>

namespace distil::onednn::winograd {

inline constexpr int kPoints = 36;  // of a 6x6 tile after its transform
inline constexpr int kRows = 12;    // the most rows that Multiply takes at once

// B^T d B of the 6x6 pixels d at (y, x), which may reach over the border, where zeros are. Point p goes to v + p step.
template <class E>
void TransformPatch(const E* plane, int64_t h, int64_t w, int64_t y, int64_t x, float* v, int64_t step);

// A d A^T of the 4x4 pixels d at (y, x), zeros over the border.
template <class E>
void TransformGradient(const E* plane, int64_t h, int64_t w, int64_t y, int64_t x, float* v, int64_t step);

// y = A^T m A + bias + residual and a ReLU, at the 4x4 pixels (y, x) as far as they are inside. `bias`: 16 numbers;
// `bias` and `residual` may be null.
template <class E>
void TransformBack(const float* m, int64_t step, E* plane, int64_t h, int64_t w, int64_t y, int64_t x,
                   const float* bias, const E* residual, bool relu);

// m[r, j] (= or +=) sum_k v[r row + k col] u[k depth + j], for r < rows <= kRows and j < 16 vectors, vectors 1 or 2.
void Multiply(const float* v, int64_t row, int64_t col, int rows, const float* u, int64_t depth, int64_t count,
              int vectors, float* m, int64_t m_row, bool add);

// u = G g G^T for 16 kernels: g is [9,16], u's point p is u + p step.
void TransformKernels(const float* g, float* u, int64_t step);
// g = G^T u G, its transpose.
void TransformKernelsBack(const float* u, int64_t step, float* g);

}  // namespace distil::onednn::winograd
