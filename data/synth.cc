// Rendering of the generated data set: background, distractors behind, the object, distractors before it,
// cast, noise.
#include "data/synth.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data/files.h"
#include "data/synth_shapes.h"
#include "data/words.h"

namespace distil::data {
namespace {

using namespace synth;

struct Kind {
  int shape, texture, color;
};

// Classes 0..19 are all pairs of shape and texture, each colour four times; the next 20 are the same with the
// next colour, and so on. Two classes share their shape, or texture, or colour, or nothing.
Kind KindOf(int label) {
  const int shape = label % kShapes, texture = label / kShapes % kTextures, round = label / (kShapes * kTextures);
  return {shape, texture, (shape + 2 * texture + round) % kColors};
}

struct Body {
  int shape, texture;
  Color first, second;
  float x, y, radius;  // pixels
  float sine, cosine;  // of its rotation
  float period;        // of the texture, pixels
  float phase_u, phase_v;
};

// A body with everything random but its kind. `jitter` is how far the hue may stray, in turns.
Body RandomBody(const Kind& kind, float radius, float jitter, float turn, Words* words) {
  Body b;
  b.shape = kind.shape, b.texture = kind.texture;
  b.radius = radius;
  const float hue = kHues[kind.color] + jitter * (words->Unit() + words->Unit() - 1.0f);
  const float saturation = words->Between(0.45f, 1.0f), value = words->Between(0.55f, 1.0f);
  b.first = FromHsv(hue, saturation, value);
  // The second colour is the first darkened or whitened.
  const float contrast = words->Between(0.40f, 0.85f);
  const Color toward = words->Below(2) ? Color{1, 1, 1} : Color{0, 0, 0};
  b.second = Mix(b.first, toward, contrast);
  SinCos(turn * (words->Unit() - 0.5f), &b.sine, &b.cosine);
  b.period = radius * words->Between(0.45f, 0.75f);
  b.phase_u = words->Unit(), b.phase_v = words->Unit();
  return b;
}

Color ColorAt(const Body& b, float dx, float dy) {
  const float u = (b.cosine * dx + b.sine * dy) / b.period + b.phase_u;
  const float v = (b.cosine * dy - b.sine * dx) / b.period + b.phase_v;
  return Mix(b.first, b.second, Pattern(b.texture, u, v, b.period));
}

void Draw(const Body& b, int size, std::vector<Color>* canvas) {
  const float reach = 1.5f * b.radius + 1.0f;
  const int x0 = std::max(0, static_cast<int>(b.x - reach)), x1 = std::min(size - 1, static_cast<int>(b.x + reach));
  const int y0 = std::max(0, static_cast<int>(b.y - reach)), y1 = std::min(size - 1, static_cast<int>(b.y + reach));
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) {
      const float dx = static_cast<float>(x) + 0.5f - b.x, dy = static_cast<float>(y) + 0.5f - b.y;
      const float u = (b.cosine * dx + b.sine * dy) / b.radius, v = (b.cosine * dy - b.sine * dx) / b.radius;
      const float cover = std::clamp(0.5f - Distance(b.shape, u, v) * b.radius, 0.0f, 1.0f);
      if (cover <= 0) continue;
      Color& pixel = (*canvas)[static_cast<size_t>(y) * size + x];
      pixel = Mix(pixel, ColorAt(b, dx, dy), cover);
    }
  }
}

// A body of any kind. Words are drawn in separate statements: the order of a call's arguments is the compiler's.
Body AnyBody(float least_radius, float most_radius, Words* words) {
  const Kind kind = {words->Below(kShapes), words->Below(kTextures), words->Below(kColors)};
  const float radius = words->Between(least_radius, most_radius);
  return RandomBody(kind, radius, 0.12f, 1.0f, words);
}

// The label that the sample is given: with probability `wrong` that of another class of equal shape or texture.
int GivenLabel(const SynthOptions& options, SplitKind split, uint32_t sample, int label) {
  if (split != SplitKind::kTrain) return label;
  Words words(options.seed, Purpose::kSynth, 16 + static_cast<uint32_t>(split), sample);
  if (words.Unit() >= static_cast<float>(options.wrong_labels)) return label;
  const Kind kind = KindOf(label);
  std::vector<int> alike;
  for (int other = 0; other < options.classes; ++other) {
    const Kind k = KindOf(other);
    if (other != label && (k.shape == kind.shape || k.texture == kind.texture)) alike.push_back(other);
  }
  return alike.empty() ? label : alike[static_cast<size_t>(words.Below(static_cast<int>(alike.size())))];
}

}  // namespace

void RenderSynth(const SynthOptions& options, SplitKind split, uint32_t sample, int label, uint8_t* pixels) {
  Words words(options.seed, Purpose::kSynth, static_cast<uint32_t>(split), sample);
  const int size = options.size;
  const float side = static_cast<float>(size), d = 0.45f * static_cast<float>(options.difficulty);
  std::vector<Color> canvas(static_cast<size_t>(size) * size);

  // The ground: any texture in any colour, paler than the object as a rule.
  Body ground = AnyBody(side * 0.25f, side * 0.6f, &words);
  ground.first = Mix({0.5f, 0.5f, 0.5f}, ground.first, words.Between(0.1f, 0.8f));
  ground.second = Mix(ground.first, ground.second, words.Between(0.2f, 0.7f));
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      canvas[static_cast<size_t>(y) * size + x] = ColorAt(ground, static_cast<float>(x), static_cast<float>(y));
    }
  }

  const float radius = side * words.Between(0.22f, 0.36f), turn = std::min(1.0f, 0.5f * d);
  Body object = RandomBody(KindOf(label), radius, 0.11f * d, turn, &words);
  const float margin = 0.8f * radius;
  object.x = words.Between(margin, side - margin);
  object.y = words.Between(margin, side - margin);

  // Distractors: smaller bodies of any kind. Some lie behind the object; one or two may cover a part of it.
  const int behind = static_cast<int>(d * words.Between(0.5f, 3.0f) + 0.5f);
  const int before = static_cast<int>(d * words.Between(0.0f, 1.6f) + 0.5f);
  const auto distractor = [&](bool near) {
    Body b = AnyBody(side * 0.07f, side * 0.16f, &words);
    b.x = words.Between(0, side), b.y = words.Between(0, side);
    if (near) {  // on the rim of the object
      float sine, cosine;
      SinCos(words.Unit(), &sine, &cosine);
      const float away = radius * words.Between(0.4f, 1.1f);
      b.x = object.x + away * cosine, b.y = object.y + away * sine;
    }
    Draw(b, size, &canvas);
  };
  for (int i = 0; i < behind; ++i) distractor(false);
  Draw(object, size, &canvas);
  for (int i = 0; i < before; ++i) distractor(true);

  // A cast of the light, and noise: four random bytes added up are nearly normal, with deviation 147.8.
  const float brightness = 1.0f + 0.25f * d * (words.Unit() - 0.6f);
  const float gain[3] = {brightness * (1.0f + 0.3f * d * (words.Unit() - 0.5f)),
                         brightness * (1.0f + 0.3f * d * (words.Unit() - 0.5f)),
                         brightness * (1.0f + 0.3f * d * (words.Unit() - 0.5f))};
  const float sigma = d * words.Between(0.02f, 0.12f);
  for (size_t i = 0; i < canvas.size(); ++i) {
    const float value[3] = {canvas[i].r, canvas[i].g, canvas[i].b};
    for (int c = 0; c < 3; ++c) {
      const uint32_t w = words.Next();
      const int sum = static_cast<int>((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24));
      const float noise = sigma * static_cast<float>(sum - 510) / 147.8f;
      *pixels++ = static_cast<uint8_t>(std::clamp((value[c] * gain[c] + noise) * 255.0f + 0.5f, 0.0f, 255.0f));
    }
  }
}

Status MakeSynth(const SynthOptions& o, Dataset* dataset) {
  constexpr int kMost = kShapes * kTextures * kColors;
  if (o.classes < 2 || o.classes > kMost) {
    return InvalidArgument("a generated data set has 2 to " + std::to_string(kMost) + " classes, not " +
                           std::to_string(o.classes));
  }
  if (o.size < 16 || o.size > 256) {
    return InvalidArgument("generated images have sides of 16 to 256 pixels, not " + std::to_string(o.size));
  }
  if (!(o.difficulty >= 0 && o.difficulty <= 2)) {
    return InvalidArgument("the difficulty lies between 0 and 2, not at " + std::to_string(o.difficulty));
  }
  if (!(o.wrong_labels >= 0 && o.wrong_labels <= 0.5)) {
    return InvalidArgument("the share of wrong labels lies between 0 and 0.5, not at " +
                           std::to_string(o.wrong_labels));
  }
  constexpr int64_t kMostSamples = 10000000;
  for (int64_t n : {o.train, o.test, o.val}) {
    if (n < 0 || n > kMostSamples) {
      return InvalidArgument("a generated split has 0 to " + std::to_string(kMostSamples) + " samples, not " +
                             std::to_string(n));
    }
  }
  if (o.train < o.classes || o.test < o.classes) {
    return InvalidArgument("a generated data set needs at least one training and one test sample of each of its " +
                           std::to_string(o.classes) + " classes");
  }
  Dataset d;
  d.height = d.width = o.size, d.channels = 3;
  d.num_classes = o.classes;
  for (int c = 0; c < o.classes; ++c) {
    const Kind kind = KindOf(c);
    d.class_names.push_back(std::string(kColorNames[kind.color]) + " " + kTextureNames[kind.texture] + " " +
                            kShapeNames[kind.shape]);
  }
  for (const auto& [kind, n] : {std::pair{SplitKind::kTrain, o.train}, std::pair{SplitKind::kVal, o.val},
                                std::pair{SplitKind::kTest, o.test}}) {
    Split& split = d.split(kind);
    DISTIL_RETURN_IF_ERROR(Resize(&split.images, static_cast<uint64_t>(n) * d.sample_bytes(), "generated data set"));
    for (int64_t i = 0; i < n; ++i) {
      const int label = static_cast<int>(i % o.classes);
      split.labels.push_back(GivenLabel(o, kind, static_cast<uint32_t>(i), label));
      RenderSynth(o, kind, static_cast<uint32_t>(i), label,
                  split.images.data() + static_cast<size_t>(i) * d.sample_bytes());
    }
  }
  char text[160];
  std::snprintf(text, sizeof(text), "distil synth 1: seed %llu, difficulty %g, wrong labels %g",
                static_cast<unsigned long long>(o.seed), o.difficulty, o.wrong_labels);
  d.source = text;
  Finish(&d);
  DISTIL_RETURN_IF_ERROR(Validate(d, "generated data set"));
  *dataset = std::move(d);
  return {};
}

}  // namespace distil::data
