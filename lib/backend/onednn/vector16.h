// Vectors of 16 floats for the files that are compiled for AVX-512 alone. Everything is expanded where it is used, so that
// no code of these files is linked into others.
#pragma once

#include <cstdint>

namespace distil::onednn {

using V = float __attribute__((vector_size(64), aligned(4), may_alias));
using Bits = uint32_t __attribute__((vector_size(64), aligned(4), may_alias));
using Half = uint16_t __attribute__((vector_size(32), aligned(2), may_alias));

#define INLINE [[gnu::always_inline]] static inline

INLINE V Load(const float* p) { return *reinterpret_cast<const V*>(p); }
INLINE void Store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
INLINE V Load(const uint16_t* p) {
  return reinterpret_cast<V>(__builtin_convertvector(*reinterpret_cast<const Half*>(p), Bits) << 16);
}
INLINE void Store(uint16_t* p, V v) {  // to nearest, ties to even; NaN stays one
  const Bits u = reinterpret_cast<Bits>(v);
  const Bits rounded = (u + (((u >> 16) & 1) + 0x7fff)) >> 16, nan = (u >> 16) | 0x40;
  *reinterpret_cast<Half*>(p) = __builtin_convertvector((u << 1) > 0xff000000u ? nan : rounded, Half);
}
INLINE V All(float x) { return x - V{}; }  // a broadcast: x - 0 is x, whatever its sign

}  // namespace distil::onednn
