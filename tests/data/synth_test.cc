// The generated data set: deterministic to the byte, independent of counts, balanced, varied.
#include "data/synth.h"

#include <cmath>
#include <cstring>
#include <set>

#include "data/hdf5_file.h"
#include "data/synth_shapes.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

SynthOptions Small() {
  SynthOptions options;
  options.train = 200;
  options.test = 40;
  return options;
}

Dataset Make(const SynthOptions& options) {
  Dataset d;
  EXPECT_OK(MakeSynth(options, &d));
  return d;
}

// On any machine and with any compiler. A change here changes every result on generated data.
TEST(Synth, SameBytesEverywhere) {
  EXPECT_EQ(Make(Small()).digest, "ad526bb81021ad5bdcbe09eff181da83b2dbbee950f986e65214e5096e4fd968");
}

TEST(Synth, SeedsDiffer) {
  SynthOptions other = Small();
  other.seed = 2;
  EXPECT_NE(Make(Small()).digest, Make(other).digest);
}

TEST(Synth, SamplesDoNotDependOnCounts) {
  SynthOptions more = Small();
  more.train = 260;
  more.val = 60;
  const Dataset a = Make(Small()), b = Make(more);
  EXPECT_EQ(std::memcmp(a.train().images.data(), b.train().images.data(), a.train().images.size()), 0);
  EXPECT_TRUE(std::equal(a.train().labels.begin(), a.train().labels.end(), b.train().labels.begin()));
  EXPECT_EQ(a.test().images, b.test().images);
  EXPECT_EQ(b.val().size(), 60);
}

TEST(Synth, SplitsAndSamplesDiffer) {
  SynthOptions options = Small();
  options.train = options.test = options.val = 100;
  const Dataset d = Make(options);
  std::set<Bytes> seen;
  for (const Split& split : d.splits) {
    for (size_t i = 0; i < 100; ++i) {
      seen.insert(Bytes(split.images.begin() + static_cast<std::ptrdiff_t>(i * 3072),
                        split.images.begin() + static_cast<std::ptrdiff_t>((i + 1) * 3072)));
    }
  }
  EXPECT_EQ(seen.size(), 300u);
}

TEST(Synth, WrongLabelsAreOfAlikeClassesAndOnlyInTraining) {
  SynthOptions options = Small();
  options.train = 4000;
  options.size = 16;
  const Dataset d = Make(options);
  int wrong = 0;
  for (size_t i = 0; i < 4000; ++i) {
    const int given = d.train().labels[i], right = static_cast<int>(i % 20);
    if (given == right) continue;
    ++wrong;
    EXPECT_TRUE(given % 5 == right % 5 || given / 5 == right / 5) << given << " for " << right;
  }
  EXPECT_NEAR(wrong, 1200, 4 * std::sqrt(4000 * 0.3 * 0.7));  // four deviations of the binomial
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(d.test().labels[i], static_cast<int>(i % 20));
  options.wrong_labels = 0;
  const Dataset clean = Make(options);
  EXPECT_EQ(clean.train().images, d.train().images);
  EXPECT_EQ(ClassCounts(clean.train().labels, 20), std::vector<int64_t>(20, 200));
}

TEST(Synth, ClassesShareTheirParts) {
  SynthOptions options = Small();
  options.classes = 100;
  options.train = options.test = 100;
  const Dataset d = Make(options);
  const std::set<std::string> names(d.class_names.begin(), d.class_names.end());
  EXPECT_EQ(names.size(), 100u);
  EXPECT_EQ(d.class_names[0], "red plain disc");
  EXPECT_EQ(d.class_names[5], "green striped disc");
  EXPECT_EQ(d.class_names[20], "yellow plain disc");
}

// The object must show: two pictures that differ in their class alone differ where the object is, in most pictures.
TEST(Synth, TheClassIsVisible) {
  const SynthOptions options = Small();
  Bytes a(3072), b(3072);
  for (uint32_t i = 0; i < 50; ++i) {
    RenderSynth(options, SplitKind::kTest, i, 0, a.data());
    RenderSynth(options, SplitKind::kTest, i, 11, b.data());
    int differ = 0;
    for (size_t p = 0; p < 3072; ++p) differ += std::abs(a[p] - b[p]) > 8;
    EXPECT_GT(differ, 150) << i;
  }
}

TEST(Synth, NoiseGrowsWithDifficulty) {
  const auto roughness = [](double difficulty) {
    SynthOptions options = Small();
    options.difficulty = difficulty;
    const Dataset d = Make(options);
    double sum = 0;
    for (size_t i = 3; i < d.train().images.size(); ++i) sum += std::abs(d.train().images[i] - d.train().images[i - 3]);
    return sum / static_cast<double>(d.train().images.size());
  };
  EXPECT_LT(roughness(0), roughness(1));
  EXPECT_LT(roughness(1), roughness(2));
}

TEST(Synth, Misuse) {
  Dataset d;
  const auto refuse = [&](auto change, const std::string& part) {
    SynthOptions options = Small();
    change(options);
    ExpectError(MakeSynth(options, &d), Code::kInvalidArgument, {part});
  };
  refuse([](SynthOptions& o) { o.classes = 1; }, "2 to 100 classes, not 1");
  refuse([](SynthOptions& o) { o.classes = 101; }, "not 101");
  refuse([](SynthOptions& o) { o.size = 8; }, "16 to 256 pixels, not 8");
  refuse([](SynthOptions& o) { o.difficulty = -1; }, "difficulty");
  refuse([](SynthOptions& o) { o.wrong_labels = 0.6; }, "wrong labels");
  refuse([](SynthOptions& o) { o.train = -1; }, "not -1");
  refuse([](SynthOptions& o) { o.test = 19; }, "each of its 20 classes");
}

TEST(SynthShapes, SineAndCosine) {
  for (int i = -100; i <= 100; ++i) {
    float sine, cosine;
    const double turns = i / 37.0;
    synth::SinCos(static_cast<float>(turns), &sine, &cosine);
    EXPECT_NEAR(sine, std::sin(2 * M_PI * turns), 1e-5) << turns;
    EXPECT_NEAR(cosine, std::cos(2 * M_PI * turns), 1e-5) << turns;
  }
}

TEST(SynthShapes, Colours) {
  const auto near = [](const synth::Color& c, float r, float g, float b) {
    EXPECT_NEAR(c.r, r, 1e-5);
    EXPECT_NEAR(c.g, g, 1e-5);
    EXPECT_NEAR(c.b, b, 1e-5);
  };
  near(synth::FromHsv(0, 1, 1), 1, 0, 0);
  near(synth::FromHsv(1.0f / 3, 1, 0.5f), 0, 0.5f, 0);
  near(synth::FromHsv(-1.0f / 3, 0.5f, 1), 0.5f, 0.5f, 1);
}

}  // namespace
}  // namespace distil::data
