// Counter-based random numbers: Philox 4x32-10 (Salmon et al., SC 2011), through Random123.
//
// A number is a pure function of (seed, purpose, a, b, index): nothing is drawn "in order", so shuffles,
// crops, flips, dropout and initial weights do not depend on threads, batch split, restart or device.
#pragma once

#include <Random123/philox.h>

#include <array>
#include <cstdint>

#include "lib/base/host_device.h"

namespace distil {

// What a random number is for. Append only, and below 256: the value is part of the key, so renumbering changes every
// result.
enum class Purpose : uint32_t {
  kInit = 1,     // a = hash of the parameter's name
  kShuffle = 2,  // a = epoch
  kCrop = 3,     // a = epoch, b = sample id
  kFlip = 4,
  kCutout = 5,
  kColor = 6,
  kDropout = 7,  // a = step, b = sample id
  kSynth = 8,    // a = split, b = sample
  kSubset = 9,   // choice of a training subset
  kTest = 10,
};

// Four independent 32-bit words at `index` of the stream (seed, purpose, a, b).
DISTIL_HOST_DEVICE inline std::array<uint32_t, 4> RandomWords(uint64_t seed, Purpose purpose, uint32_t a, uint32_t b,
                                                              uint32_t index) {
  philox4x32_ctr_t ctr = {{index, a, b, static_cast<uint32_t>(purpose)}};
  philox4x32_key_t key = {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
  philox4x32_ctr_t r = philox4x32(ctr, key);
  return {r.v[0], r.v[1], r.v[2], r.v[3]};
}

// A word as a float in [0, 1), with 24 bits.
DISTIL_HOST_DEVICE inline float ToUnit(uint32_t word) { return static_cast<float>(word >> 8) * (1.0f / 16777216.0f); }

// A word as an integer in [0, n), n >= 1 (multiply-shift; bias below n / 2^32).
DISTIL_HOST_DEVICE inline uint32_t ToRange(uint32_t word, uint32_t n) {
  return static_cast<uint32_t>((static_cast<uint64_t>(word) * n) >> 32);
}

// The uniform numbers of the Random op, which dropout draws, for every backend: elements 4 quad .. 4 quad + 3
// of a sample's row. key: seed's low and high word, step, and which of the step's keys it is. A use of the op has its own
// slot below 2^8, and quad stays below 2^24, so that no two uses share a counter. Key 0 is the method's and key 1 the first
// network's: they share slots, of which methods take the last. Further networks draw from streams of their own, told apart
// by the bits above the purpose.
DISTIL_HOST_DEVICE inline std::array<float, 4> DropoutUniform(const int32_t* key, int32_t id, uint32_t slot,
                                                              uint32_t quad) {
  const uint64_t seed = static_cast<uint32_t>(key[0]) | static_cast<uint64_t>(static_cast<uint32_t>(key[1])) << 32;
  const uint32_t stream = key[3] > 1 ? static_cast<uint32_t>(key[3]) - 1 : 0;
  const auto purpose = static_cast<Purpose>(static_cast<uint32_t>(Purpose::kDropout) | stream << 8);
  const auto w =
      RandomWords(seed, purpose, static_cast<uint32_t>(key[2]), static_cast<uint32_t>(id), slot << 24 ^ quad);
  return {ToUnit(w[0]), ToUnit(w[1]), ToUnit(w[2]), ToUnit(w[3])};
}

// 32-bit FNV-1a, used to key streams by name.
inline uint32_t HashName(const char* s, size_t n) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < n; ++i) h = (h ^ static_cast<unsigned char>(s[i])) * 16777619u;
  return h;
}

}  // namespace distil
