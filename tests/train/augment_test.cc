// Augmentation: exact values of cases made by hand, independence of everything but (seed, epoch, sample), distributions.
#include "lib/train/augment.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/train/lab.h"

namespace distil {
namespace {

constexpr int64_t kH = 4, kW = 5;

Augmenter Make(const std::string& text, int64_t channels = 3, int64_t h = kH, int64_t w = kW) {
  TrainingOptions o;
  EXPECT_OK(ReadTrainingOptions(Text(text), &o, nullptr));
  Augmenter a;
  EXPECT_OK(Augmenter::Create(o, channels, h, w, &a));
  return a;
}

// Pixel (y, x), channel c: 1 + 10 (y w + x) + c, never black.
std::vector<uint8_t> Image(int64_t channels = 3, int64_t h = kH, int64_t w = kW) {
  std::vector<uint8_t> image;
  for (int64_t i = 0; i < h * w; ++i)
    for (int64_t c = 0; c < channels; ++c) image.push_back(static_cast<uint8_t>(1 + 10 * i + c));
  return image;
}

std::vector<float> Changed(Augmenter& a, const std::vector<uint8_t>& image, uint32_t epoch, uint32_t id) {
  std::vector<float> out(image.size());
  a.Run(image.data(), epoch, id, out.data());
  return out;
}

TEST(Augment, Normalises) {
  Augmenter a = Make("mean=0.5,0.25,0 std=0.5,0.25,1");
  const std::vector<float> out =
      Changed(a, {0, 0, 0, 255, 255, 255, 51, 51, 51, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                  0, 0, 0, 0,   0,   0,   0,  0,  0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
              0, 0);
  const float want[3][3] = {{-1, 1, -0.6f}, {-1, 3, -0.2f}, {0, 1, 0.2f}};  // [channel][pixel]
  for (int c = 0; c < 3; ++c)
    for (int p = 0; p < 3; ++p) EXPECT_FLOAT_EQ(out[static_cast<size_t>(c * kH * kW + p)], want[c][p]);
}

// Crops of an image padded by 2: every result must be one of the 25 shifts, with black outside, and all of them occur.
TEST(Augment, CropsAreShifts) {
  Augmenter a = Make("crop_pad=2", 1);
  const std::vector<uint8_t> image = Image(1);
  std::set<std::pair<int, int>> seen;
  for (uint32_t id = 0; id < 500; ++id) {
    const std::vector<float> out = Changed(a, image, 3, id);
    int matches = 0;
    for (int dy = -2; dy <= 2; ++dy)
      for (int dx = -2; dx <= 2; ++dx) {
        bool same = true;
        for (int y = 0; y < kH; ++y)
          for (int x = 0; x < kW; ++x) {
            const int sy = y + dy, sx = x + dx;
            const bool inside = sy >= 0 && sy < kH && sx >= 0 && sx < kW;
            const float want = inside ? static_cast<float>(image[static_cast<size_t>(sy * kW + sx)]) / 255.0f : 0.0f;
            same &= std::abs(out[static_cast<size_t>(y * kW + x)] - want) < 1e-6;
          }
        if (same) ++matches, seen.insert({dy, dx});
      }
    EXPECT_EQ(matches, 1) << id;
  }
  EXPECT_EQ(seen.size(), 25u);
}

TEST(Augment, PaddingIsBlackBeforeNormalisation) {
  Augmenter a = Make("crop_pad=4 mean=0.5 std=0.25", 1, 1, 1);
  std::set<float> values;
  for (uint32_t id = 0; id < 2000; ++id) values.insert(Changed(a, {255}, 0, id)[0]);
  EXPECT_EQ(values, (std::set<float>{-2, 2}));
}

TEST(Augment, ReflectionMirrorsWithoutTheBorder) {
  Augmenter a = Make("crop_pad=2 crop_mode=reflect", 1, 1 + 2, 3);
  const std::vector<uint8_t> image = {10, 20, 30, 40, 50, 60, 70, 80, 90};
  for (uint32_t id = 0; id < 200; ++id)  // shifted by (-2, -2): row 0 is row 2, column 0 is column 2
    if (const auto out = Changed(a, image, 0, id); std::lround(out[8] * 255) == 10 && std::lround(out[4] * 255) == 50) {
      EXPECT_EQ(std::lround(out[0] * 255), 90);
      EXPECT_EQ(std::lround(out[1] * 255), 80);
      return;
    }
  FAIL() << "the shift did not occur";
}

TEST(Augment, Flip) {
  Augmenter always = Make("flip=1"), never = Make("flip=0"), half = Make("flip=0.5");
  const std::vector<uint8_t> image = Image();
  const std::vector<float> plain = Changed(never, image, 0, 0), turned = Changed(always, image, 0, 0);
  for (int64_t i = 0; i < 3 * kH; ++i)
    for (int64_t x = 0; x < kW; ++x)
      EXPECT_EQ(turned[static_cast<size_t>(i * kW + x)], plain[static_cast<size_t>(i * kW + kW - 1 - x)]);
  int flips = 0;
  for (uint32_t id = 0; id < 2000; ++id) {
    const auto out = Changed(half, image, 1, id);
    ASSERT_TRUE(out == plain || out == turned);
    flips += out == turned;
  }
  EXPECT_NEAR(flips, 1000, 4 * std::sqrt(2000 * 0.25));
}

TEST(Augment, CutoutIsAClippedSquareOfZeros) {
  Augmenter a = Make("cutout=2 mean=0.9 std=0.1", 1);
  std::set<size_t> sizes;
  for (uint32_t id = 0; id < 300; ++id) {
    const auto out = Changed(a, Image(1), 0, id);
    sizes.insert(static_cast<size_t>(std::count(out.begin(), out.end(), 0.0f)));
  }
  EXPECT_EQ(sizes, (std::set<size_t>{1, 2, 4}));  // corner, border, inside
}

// A fixed order of changes for hand-made values: each alone.
TEST(Augment, JitterStaysInItsRange) {
  const std::vector<uint8_t> image(3 * 4, 100);  // grey: contrast, saturation and hue leave it alone
  Augmenter bright = Make("brightness=0.5", 3, 2, 2), other = Make("contrast=0.9 saturation=0.9 hue=0.5", 3, 2, 2);
  double low = 1, high = 0, mean = 0;
  for (uint32_t id = 0; id < 1000; ++id) {
    const double v = Changed(bright, image, 0, id)[0];
    low = std::min(low, v), high = std::max(high, v), mean += v / 1000;
    for (float p : Changed(other, image, 0, id)) EXPECT_NEAR(p, 100 / 255.0, 2e-6);
  }
  const double base = 100 / 255.0;
  EXPECT_GE(low, base * 0.5 - 1e-6);
  EXPECT_LE(high, base * 1.5 + 1e-6);
  EXPECT_LT(low, base * 0.52);
  EXPECT_GT(high, base * 1.48);
  EXPECT_NEAR(mean, base, base * 0.04);
}

TEST(Augment, ContrastKeepsTheMeanOfGrey) {
  Augmenter a = Make("contrast=0.5", 1, 1, 2);
  for (uint32_t id = 0; id < 50; ++id) {
    const auto out = Changed(a, {100, 140}, 0, id);
    EXPECT_NEAR(out[0] + out[1], 240 / 255.0, 1e-5);
    EXPECT_LE(out[1] - out[0], 1.5 * 40 / 255.0 + 1e-5);
    EXPECT_GE(out[1] - out[0], 0.5 * 40 / 255.0 - 1e-5);
  }
}

TEST(Augment, HueKeepsValueAndSaturation) {
  Augmenter a = Make("hue=0.5", 3, 1, 1);
  std::set<long> reds;
  for (uint32_t id = 0; id < 400; ++id) {
    const auto out = Changed(a, {200, 100, 50}, 0, id);
    EXPECT_NEAR(*std::max_element(out.begin(), out.end()), 200 / 255.0, 1e-5);
    EXPECT_NEAR(*std::min_element(out.begin(), out.end()), 50 / 255.0, 1e-5);
    reds.insert(std::lround(out[0] * 10));
  }
  EXPECT_GE(reds.size(), 6u);  // the hue went all around
}

constexpr char kAll[] =
    "crop_pad=1 flip=0.5 cutout=2 brightness=0.4 contrast=0.4 saturation=0.4 hue=0.1 mean=0.5 std=0.2";

TEST(Augment, DependsOnSeedEpochAndSampleOnly) {
  Augmenter a = Make(kAll), b = Make(kAll), other = Make(std::string(kAll) + " seed=2");
  const std::vector<uint8_t> image = Image();
  std::vector<std::vector<float>> forward, backward(64);
  for (uint32_t id = 0; id < 64; ++id) forward.push_back(Changed(a, image, 7, id));
  for (uint32_t id = 64; id-- > 0;) backward[id] = Changed(b, image, 7, id);
  EXPECT_EQ(forward, backward);
  int same_epoch = 0, same_seed = 0;
  for (uint32_t id = 0; id < 64; ++id) {
    same_epoch += Changed(a, image, 8, id) == forward[id];
    same_seed += Changed(other, image, 7, id) == forward[id];
  }
  EXPECT_LT(same_epoch, 4);
  EXPECT_LT(same_seed, 4);
}

TEST(Augment, MistakesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"mean=0.5,0.5", "2 numbers for images of 1 channels"},
      {"std=1,1,1", "3 numbers for images of 1 channels"},
      {"hue=0.1", "need images of 3 channels"},
      {"crop_pad=4 crop_mode=reflect", "cannot be mirrored that far"},
  };
  for (const auto& [text, message] : cases) {
    TrainingOptions o;
    ASSERT_OK(ReadTrainingOptions(Text(text), &o, nullptr));
    Augmenter a;
    ExpectError(Augmenter::Create(o, 1, kH, kW, &a), Code::kInvalidArgument, message);
  }
}

}  // namespace
}  // namespace distil
