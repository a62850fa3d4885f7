// Shapes, textures and colours of the generated data set, as functions of a point.
//
// Only + - * / sqrt and floor are used, which IEEE 754 defines exactly: with the build's -ffp-contract=off
// the same seed gives the same bytes on every machine. (libm's sin or exp may differ by a bit between
// processors.)
#pragma once

#include <algorithm>
#include <cmath>

namespace distil::data::synth {

enum Shape { kDisc, kSquare, kTriangle, kCross, kRing };
enum Texture { kPlain, kStripes, kChecker, kDots };
inline constexpr int kShapes = 5, kTextures = 4, kColors = 5;
inline const char* const kShapeNames[kShapes] = {"disc", "square", "triangle", "cross", "ring"};
inline const char* const kTextureNames[kTextures] = {"plain", "striped", "checkered", "dotted"};
inline const char* const kColorNames[kColors] = {"red", "yellow", "green", "blue", "violet"};
inline constexpr float kHues[kColors] = {0.0f, 0.15f, 0.37f, 0.60f, 0.80f};  // of a turn

struct Color {
  float r = 0, g = 0, b = 0;
};

inline Color Mix(const Color& a, const Color& b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

// Hue in turns, saturation and value in [0, 1].
inline Color FromHsv(float hue, float saturation, float value) {
  const auto channel = [&](float shift) {
    float k = shift + (hue - std::floor(hue)) * 6.0f;
    k -= 6.0f * std::floor(k / 6.0f);
    return value - value * saturation * std::clamp(std::min(k, 4.0f - k), 0.0f, 1.0f);
  };
  return {channel(5.0f), channel(3.0f), channel(1.0f)};
}

// sin and cos of an angle in turns, by Taylor's series of the half turn around zero.
inline void SinCos(float turns, float* sine, float* cosine) {
  double x = turns - std::floor(turns + 0.5);  // [-1/2, 1/2)
  const bool flip = x < -0.25 || x > 0.25;     // sin(pi - a) = sin a, cos(pi - a) = -cos a
  if (flip) x = (x < 0 ? -0.5 : 0.5) - x;
  const double a = x * 6.283185307179586, q = a * a;
  const double s = a * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72 * (1 - q / 110 * (1 - q / 156))))));
  const double c = 1 - q / 2 * (1 - q / 12 * (1 - q / 30 * (1 - q / 56 * (1 - q / 90 * (1 - q / 132)))));
  *sine = static_cast<float>(s);
  *cosine = static_cast<float>(flip ? -c : c);
}

// Signed distance (negative inside, roughly, in units of the radius) of a shape of radius about 1 and equal
// area.
inline float Distance(int shape, float x, float y) {
  const float ax = std::abs(x), ay = std::abs(y);
  switch (shape) {
    case kDisc: return std::sqrt(x * x + y * y) - 0.90f;
    case kSquare: return std::max(ax, ay) - 0.80f;
    case kTriangle:  // equilateral, one corner up
      return std::max(0.8660254f * ax + 0.5f * y, -y) - 0.60f;
    case kCross: return std::max(std::min(ax, ay) - 0.36f, std::max(ax, ay) - 1.02f);
    default:  // ring
      return std::abs(std::sqrt(x * x + y * y) - 0.72f) - 0.31f;
  }
}

// Share of the second colour at (u, v), in periods; `sharp` is the length of a period in pixels.
inline float Pattern(int texture, float u, float v, float sharp) {
  const auto wave = [](float t) { return 4.0f * std::abs(t - std::floor(t) - 0.5f) - 1.0f; };  // [-1, 1]
  const auto soft = [sharp](float w) { return std::clamp(0.5f + 0.25f * sharp * w, 0.0f, 1.0f); };
  switch (texture) {
    case kPlain: return 0.0f;
    case kStripes: return soft(wave(u));
    case kChecker: {
      const float a = 2.0f * soft(wave(u)) - 1.0f, b = 2.0f * soft(wave(v)) - 1.0f;
      return 0.5f + 0.5f * a * b;
    }
    default: {  // dots
      const float x = u - std::floor(u) - 0.5f, y = v - std::floor(v) - 0.5f;
      return std::clamp(0.5f + sharp * (0.33f - std::sqrt(x * x + y * y)), 0.0f, 1.0f);
    }
  }
}

}  // namespace distil::data::synth
