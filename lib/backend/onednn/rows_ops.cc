#include "lib/backend/onednn/rows_ops.h"

#include "lib/backend/onednn/vector16.h"

namespace distil::onednn::rows {
namespace {

// One tap of the kernel over 16 inputs, for the pixels kFirst to kEnd. Every load serves a whole row of sums, so that
// the multipliers are what is busy.
template <int kFirst, int kEnd, int kStride, int kCount, int kVectors>
INLINE void Tap(const float* x, const float* w, int64_t w_block, V (&sum)[kCount][kVectors]) {
  for (int c = 0; c < 16; ++c) {  // not unrolled: gcc would keep broadcasts of one tap for the next, on the stack
    V k[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) k[v] = Load(w + v * w_block + c * 16);
#pragma GCC unroll 14
    for (int p = kFirst; p < kEnd; ++p) {
      const V a = All(x[p * kStride * 16 + c]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[p][v] += a * k[v];
    }
  }
}

// Sums of a block of inputs stay in registers, and are added up over the blocks: one chain of additions would be no
// faster, and err more.
template <int kCount, int kVectors, int kStride>
void Sum(const Run& r) {
  constexpr int kTap = 16 * 16;
  alignas(64) V total[kCount][kVectors] = {};
  const float *x_block = r.x, *w_block = r.w, *y = r.residual ? r.residual : r.y;
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 14
    for (int p = 0; p < kCount; ++p) __builtin_prefetch(y + v * r.y_block + p * 16);
  for (int64_t b = 1; b <= r.x_blocks; ++b, x_block += r.x_block, w_block += 9 * kTap) {
    const float *x = x_block, *below = x + (r.end_row - r.first_row) * r.x_row;
    for (int s = 0; s < kStride; ++s, below += r.x_row)  // what the next row will need
#pragma GCC unroll 28
      for (int p = 0; p < kCount * kStride; ++p) __builtin_prefetch(below + p * 16);
    V sum[kCount][kVectors] = {};
    for (int i = r.first_row; i < r.end_row; ++i, x += r.x_row) {
      const float* w = w_block + 3 * i * kTap;
      if (r.left)
        Tap<1, kCount, kStride>(x - 16, w, r.w_block, sum);
      else
        Tap<0, kCount, kStride>(x - 16, w, r.w_block, sum);
      Tap<0, kCount, kStride>(x, w + kTap, r.w_block, sum);
      if (r.right)
        Tap<0, kCount - 1, kStride>(x + 16, w + 2 * kTap, r.w_block, sum);
      else
        Tap<0, kCount, kStride>(x + 16, w + 2 * kTap, r.w_block, sum);
    }
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const V bias = r.bias ? Load(r.bias + v * 16) : V{}, zero = {};
#pragma GCC unroll 14
      for (int p = 0; p < kCount; ++p) {
        const int64_t at = v * r.y_block + p * 16;
        V s = total[p][v] + sum[p][v];
        if (b < r.x_blocks) {
          total[p][v] = s;
          continue;
        }
        s += bias;
        if (r.residual) s += Load(r.residual + at);
        if (r.relu) s = s < zero ? zero : s;
        Store(r.y + at, s);
      }
    }
  }
}

template <int kVectors, int kStride>
void Pick(int pixels, const Run& r) {
  switch (pixels) {
#define PIXELS(n) \
  case n: return Sum<n, kVectors, kStride>(r);
    PIXELS(1)
    PIXELS(2)
    PIXELS(3)
    PIXELS(4) PIXELS(5) PIXELS(6) PIXELS(7) PIXELS(8) PIXELS(9) PIXELS(10) PIXELS(11) PIXELS(12) PIXELS(13) PIXELS(14)
#undef PIXELS
  }
}

}  // namespace

void Convolve(int pixels, int vectors, int stride, const Run& run) {
  if (stride == 1)
    (vectors == 2 ? Pick<2, 1> : Pick<1, 1>)(pixels, run);
  else
    (vectors == 2 ? Pick<2, 2> : Pick<1, 2>)(pixels, run);
}

}  // namespace distil::onednn::rows
