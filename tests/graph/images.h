// Images in tests: where an element lies in each layout, and its number in each format.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lib/graph/graph.h"

namespace distil {

inline float FromBf16(uint16_t v) { return std::bit_cast<float>(uint32_t{v} << 16); }
inline uint16_t ToBf16(float v) {
  if (std::isnan(v)) return 0x7fc0;
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Offset of element (n, c, h, w) of an image batch of this shape.
inline int64_t ImageOffset(const Shape& s, Layout layout, int64_t n, int64_t c, int64_t h, int64_t w) {
  if (layout == Layout::kNhwc) return ((n * s[2] + h) * s[3] + w) * s[1] + c;
  if (layout == Layout::kBlocked16) return (((n * (s[1] / 16) + c / 16) * s[2] + h) * s[3] + w) * 16 + c % 16;
  return ((n * s[1] + c) * s[2] + h) * s[3] + w;
}

// Layouts that a batch of this shape can have.
inline std::vector<Layout> LayoutsOf(const Shape& s) {
  std::vector<Layout> layouts = {Layout::kPlain};
  if (s.rank() == 4) layouts.push_back(Layout::kNhwc);
  if (s.rank() == 4 && s[1] % 16 == 0) layouts.push_back(Layout::kBlocked16);
  return layouts;
}

}  // namespace distil
