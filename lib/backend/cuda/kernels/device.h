// What the kernels share: indices, number formats, and how many blocks there are.
#pragma once

#include <cstdint>
#include <limits>

#include "lib/backend/cuda/kernels/emulate.h"
#include "lib/backend/cuda/kernels/kernels.h"

namespace distil::cuda::kernels {

inline constexpr unsigned kBlock = 256;

// This thread's number among all. A launch has up to a block more threads than elements.
__device__ inline int64_t ThreadNumber() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

// Blocks for one thread per element; 0 when there are more than a grid can have.
inline int64_t BlocksFor(int64_t elements) {
  const int64_t blocks = (elements + kBlock - 1) / kBlock;
  return blocks <= std::numeric_limits<int32_t>::max() ? blocks : 0;
}
inline constexpr Error kTooLarge = "the tensor has more elements than a grid can have threads";

// A bf16 is kept as its bits.
union FloatBits {
  float f;
  uint32_t u;
};
__device__ inline float ToFloat(float v) { return v; }
__device__ inline float ToFloat(uint16_t bf16) {
  FloatBits b;
  b.u = static_cast<uint32_t>(bf16) << 16;
  return b.f;
}
__device__ inline void FromFloat(float v, float* out) { *out = v; }
__device__ inline void FromFloat(float v, uint16_t* out) {  // to nearest, ties to even; a NaN stays one
  FloatBits b;
  b.f = v;
  const uint32_t rounded = (b.u + 0x7fffu + (b.u >> 16 & 1u)) >> 16;
  *out = static_cast<uint16_t>(v != v ? (b.u >> 16 | 0x40u) : rounded);
}

}  // namespace distil::cuda::kernels
