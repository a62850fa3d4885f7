// Deterministic tensor contents that C++ and Python compute alike, so that tests need no weight files.
// The convention is written down in fill.py; both give the same float32 bits.
//
//   s = FNV-1a-32(name)     u_i = (splitmix64((s << 32) + i) >> 40) / 2^24     v_i = 2 u_i - 1
//   x_i = float(offset + scale * v_i), in double and rounded once; FillKind gives offset and scale of a
//   network tensor.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace distil::golden {

inline uint32_t HashName(std::string_view name) {
  uint32_t h = 2166136261u;
  for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 16777619u;
  return h;
}

inline uint64_t SplitMix64(uint64_t x) {
  uint64_t z = x + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// u_i in [0, 1) of the stream keyed by the name's hash.
inline double FillUnit(uint32_t hash, uint64_t i) {
  return static_cast<double>(SplitMix64((static_cast<uint64_t>(hash) << 32) + i) >> 40) / 16777216.0;
}

// v_i in [-1, 1).
inline float Fill(std::string_view name, uint64_t i) {
  return static_cast<float>(2.0 * FillUnit(HashName(name), i) - 1.0);
}

struct FillKind {
  double offset, scale;
};

// Offset and scale of a network tensor, by the suffix of its name and its rank; the table is in fill.py.
inline FillKind KindOf(std::string_view name, const std::vector<int64_t>& dims) {
  auto ends = [&](std::string_view s) { return name.size() >= s.size() && name.substr(name.size() - s.size()) == s; };
  if (ends("running_mean")) return {0.0, 0.09375};
  if (ends("running_var")) return {1.0, 0.25};
  if (ends("num_batches_tracked")) return {0.0, 0.0};
  if (ends("weight") && dims.size() >= 2) {
    double fan_in = 1;
    for (size_t d = 1; d < dims.size(); ++d) fan_in *= static_cast<double>(dims[d]);
    return {0.0, std::sqrt(6.0 / fan_in)};
  }
  if (ends("bn2.weight")) return {0.25, 0.046875};
  if (ends("weight")) return {1.0, 0.1875};
  if (ends("bias")) return {0.0, 0.09375};
  return {0.0, 2.0};
}

// The whole tensor, row-major, with explicit offset and scale (as the "fill" entries of the JSON files say).
inline std::vector<float> FillTensor(std::string_view name, const std::vector<int64_t>& dims, FillKind k) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  std::vector<float> x(static_cast<size_t>(n));
  const uint32_t s = HashName(name);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(k.offset + k.scale * (2.0 * FillUnit(s, i) - 1.0));
  return x;
}

// A network tensor or an input.
inline std::vector<float> FillTensor(std::string_view name, const std::vector<int64_t>& dims) {
  return FillTensor(name, dims, KindOf(name, dims));
}

// label_b = floor(u_b * classes).
inline std::vector<int32_t> FillLabels(std::string_view name, size_t n, int32_t classes) {
  std::vector<int32_t> y(n);
  const uint32_t s = HashName(name);
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<int32_t>(FillUnit(s, i) * classes);
  return y;
}

}  // namespace distil::golden
