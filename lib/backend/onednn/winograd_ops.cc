// F(4x4, 3x3) with the points 0, +-a, +-b and infinity. For a polynomial product at these points,
//   B^T d: (ab)^2 d0 - (a^2+b^2) d2 + d4;  (d4 - b^2 d2) +- a (d3 - b^2 d1);  the same with a and b exchanged;
//          (ab)^2 d1 - (a^2+b^2) d3 + d5
//   G g:   g0 / (ab)^2;  (g0 +- a g1 + a^2 g2) / (2 a^2 (a^2-b^2));  a and b exchanged;  g2
//   A^T m: row i has 1 at 0 if i = 0, p^i at the point p, 1 at infinity if i = 3
// With a = 5/8 and b = 3/2 the rounding error of y is half of that with 1 and 2, about twice that of a direct sum.
#include "lib/backend/onednn/winograd_ops.h"

#include "lib/backend/onednn/vector16.h"

namespace distil::onednn::winograd {
namespace {

constexpr float kA = 0.625f, kB = 1.5f, kA2 = kA * kA, kB2 = kB * kB;
constexpr float kA3 = kA2 * kA, kB3 = kB2 * kB, kProduct = kA2 * kB2, kSum = kA2 + kB2;
constexpr float kG0 = 1 / kProduct, kGa = 1 / (2 * kA2 * (kA2 - kB2)), kGb = 1 / (2 * kB2 * (kB2 - kA2));

INLINE void Patch(const V (&d)[6], V (&o)[6]) {  // B^T
  const V a = d[4] - kB2 * d[2], b = d[3] - kB2 * d[1];
  const V c = d[4] - kA2 * d[2], e = d[3] - kA2 * d[1];
  o[0] = kProduct * d[0] + (d[4] - kSum * d[2]);
  o[1] = a + kA * b;
  o[2] = a - kA * b;
  o[3] = c + kB * e;
  o[4] = c - kB * e;
  o[5] = kProduct * d[1] + (d[5] - kSum * d[3]);
}
INLINE void Back(const V (&m)[6], V (&o)[4]) {  // A^T
  const V a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  o[0] = m[0] + (a + c);
  o[1] = kA * b + kB * d;
  o[2] = kA2 * a + kB2 * c;
  o[3] = kA3 * b + (kB3 * d + m[5]);
}
INLINE void Gradient(const V (&d)[4], V (&o)[6]) {  // A
  const V a = d[0] + kA2 * d[2], b = kA * d[1] + kA3 * d[3];
  const V c = d[0] + kB2 * d[2], e = kB * d[1] + kB3 * d[3];
  o[0] = d[0];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = d[3];
}
INLINE void Kernels(const V (&g)[3], V (&o)[6]) {  // G
  const V a = kGa * (g[0] + kA2 * g[2]), b = (kGa * kA) * g[1];
  const V c = kGb * (g[0] + kB2 * g[2]), e = (kGb * kB) * g[1];
  o[0] = kG0 * g[0];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = g[2];
}
INLINE void KernelsBack(const V (&u)[6], V (&o)[3]) {  // G^T
  const V a = kGa * (u[1] + u[2]), b = (kGa * kA) * (u[1] - u[2]);
  const V c = kGb * (u[3] + u[4]), e = (kGb * kB) * (u[3] - u[4]);
  o[0] = kG0 * u[0] + (a + c);
  o[1] = b + e;
  o[2] = kA2 * a + (kB2 * c + u[5]);
}

// To the N x N pixels at `p` (rows `row` apart) F from both sides, giving M x M points. Rows `top` to `bottom` and
// columns `left` to `right` of the pixels are there; the others are zeros.
template <int N, int M, bool kInside, class E, class F>
INLINE void BothSides(const E* p, int64_t row, int64_t top, int64_t bottom, int64_t left, int64_t right, F f, float* v,
                      int64_t step) {
  V t[N][M];
  for (int i = 0; i < N; ++i) {
    V d[N];
#pragma GCC unroll 6
    for (int j = 0; j < N; ++j)
      d[j] = kInside || (i >= top && i < bottom && j >= left && j < right) ? Load(p + i * row + j * 16) : V{};
    f(d, t[i]);
  }
#pragma GCC unroll 6
  for (int j = 0; j < M; ++j) {
    V d[N], o[M];
#pragma GCC unroll 6
    for (int i = 0; i < N; ++i) d[i] = t[i][j];
    f(d, o);
#pragma GCC unroll 6
    for (int i = 0; i < M; ++i) Store(v + (i * M + j) * step, o[i]);
  }
}

template <int N, class E, class F>
INLINE void Transform(const E* plane, int64_t h, int64_t w, int64_t y, int64_t x, F f, float* v, int64_t step) {
  const E* p = plane + (y * w + x) * 16;
  if (y >= 0 && x >= 0 && y + N <= h && x + N <= w)
    BothSides<N, 6, true>(p, w * 16, 0, N, 0, N, f, v, step);
  else
    BothSides<N, 6, false>(p, w * 16, -y, h - y, -x, w - x, f, v, step);
}

template <int R, int N>
void Block(const float* v, int64_t row, int64_t col, const float* u, int64_t depth, int64_t count, float* m,
           int64_t m_row, bool add) {
  V acc[R][N];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) acc[r][n] = add ? Load(m + r * m_row + n * 16) : V{};
  for (int64_t k = 0; k < count; ++k) {
    V b[N];
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) b[n] = Load(u + k * depth + n * 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const V a = All(v[r * row + k * col]);
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n) acc[r][n] += a * b[n];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) Store(m + r * m_row + n * 16, acc[r][n]);
}

template <int N>
void Rows(int rows, const float* v, int64_t row, int64_t col, const float* u, int64_t depth, int64_t count, float* m,
          int64_t m_row, bool add) {
  switch (rows) {
#define ROWS(r) \
  case r: return Block<r, N>(v, row, col, u, depth, count, m, m_row, add);
    ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12)
#undef ROWS
  }
}

}  // namespace

template <class E>
void TransformPatch(const E* plane, int64_t h, int64_t w, int64_t y, int64_t x, float* v, int64_t step) {
  Transform<6>(
      plane, h, w, y, x, [](const V(&d)[6], V(&o)[6]) __attribute__((always_inline)) { Patch(d, o); }, v, step);
}

template <class E>
void TransformGradient(const E* plane, int64_t h, int64_t w, int64_t y, int64_t x, float* v, int64_t step) {
  Transform<4>(
      plane, h, w, y, x, [](const V(&d)[4], V(&o)[6]) __attribute__((always_inline)) { Gradient(d, o); }, v, step);
}

template <class E>
void TransformBack(const float* m, int64_t step, E* plane, int64_t h, int64_t w, int64_t y, int64_t x,
                   const float* bias, const E* residual, bool relu) {
  V t[6][4];
  for (int i = 0; i < 6; ++i) {
    V d[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) d[j] = Load(m + (i * 6 + j) * step);
    Back(d, t[i]);
  }
  const V b = bias ? Load(bias) : V{}, zero = {};
  for (int j = 0; j < 4 && x + j < w; ++j) {
    V d[6], o[4];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) d[i] = t[i][j];
    Back(d, o);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (y + i >= h) break;
      const int64_t at = ((y + i) * w + x + j) * 16;
      V s = o[i] + b;
      if (residual) s += Load(residual + at);
      if (relu) s = s < zero ? zero : s;
      Store(plane + at, s);
    }
  }
}

void Multiply(const float* v, int64_t row, int64_t col, int rows, const float* u, int64_t depth, int64_t count,
              int vectors, float* m, int64_t m_row, bool add) {
  (vectors == 2 ? Rows<2> : Rows<1>)(rows, v, row, col, u, depth, count, m, m_row, add);
}

void TransformKernels(const float* g, float* u, int64_t step) {
  BothSides<3, 6, true>(
      g, 3 * 16, 0, 3, 0, 3, [](const V(&d)[3], V(&o)[6]) __attribute__((always_inline)) { Kernels(d, o); }, u, step);
}

void TransformKernelsBack(const float* u, int64_t step, float* g) {
  V t[6][3];
  for (int i = 0; i < 6; ++i) {
    V d[6];
    for (int j = 0; j < 6; ++j) d[j] = Load(u + (i * 6 + j) * step);
    KernelsBack(d, t[i]);
  }
  for (int j = 0; j < 3; ++j) {
    V d[6], o[3];
    for (int i = 0; i < 6; ++i) d[i] = t[i][j];
    KernelsBack(d, o);
    for (int i = 0; i < 3; ++i) Store(g + (i * 3 + j) * 16, o[i]);
  }
}

#define BOTH(E)                                                                                               \
  template void TransformPatch<E>(const E*, int64_t, int64_t, int64_t, int64_t, float*, int64_t);             \
  template void TransformGradient<E>(const E*, int64_t, int64_t, int64_t, int64_t, float*, int64_t);          \
  template void TransformBack<E>(const float*, int64_t, E*, int64_t, int64_t, int64_t, int64_t, const float*, \
                                 const E*, bool);
BOTH(float)
BOTH(uint16_t)
#undef BOTH

}  // namespace distil::onednn::winograd
