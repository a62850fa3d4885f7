// Checks, statistics, digest and small transformations of a data set in RAM.
#include "data/dataset.h"

#include <cmath>

#include "data/digest.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

TEST(Sha256, KnownValue) {
  Sha256 hash;
  hash.Update("a", 1);
  hash.Update("bc", 2);
  EXPECT_EQ(hash.Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Dataset, MeanAndStdByHand) {
  Dataset d;
  d.height = 1, d.width = 2, d.channels = 1, d.num_classes = 1;
  d.train().labels = {0};
  d.train().images = {51, 255};  // 0.2 and 1
  d.test() = d.train();
  Finish(&d);
  EXPECT_NEAR(d.mean[0], 0.6, 1e-12);
  EXPECT_NEAR(d.std[0], 0.4, 1e-12);
  EXPECT_OK(Validate(d, "d"));
}

TEST(Dataset, DigestSeesEverything) {
  const Dataset d = Toy(20, 10);
  const auto digest = [](Dataset changed, auto change) {
    change(changed);
    return DigestOf(changed);
  };
  EXPECT_EQ(DigestOf(d), d.digest);
  EXPECT_NE(d.digest, digest(d, [](Dataset& c) { c.train().images[7] ^= 1; }));
  EXPECT_NE(d.digest, digest(d, [](Dataset& c) { c.test().labels[3] = (c.test().labels[3] + 1) % 3; }));
  EXPECT_NE(d.digest, digest(d, [](Dataset& c) { c.class_names[0] = "x"; }));
  EXPECT_NE(d.digest, digest(d, [](Dataset& c) { c.mean[0] += 1e-9; }));
  EXPECT_NE(d.digest, digest(d, [](Dataset& c) { std::swap(c.height, c.width); }));
  EXPECT_NE(d.digest, digest(d, [](Dataset& c) { c.val() = c.test(), c.test() = Split(); }));
  EXPECT_EQ(d.digest, digest(d, [](Dataset& c) { c.source = "elsewhere"; }));
}

TEST(Dataset, ValidateRefuses) {
  const auto refuse = [](auto change, const std::string& part) {
    Dataset d = Toy(20, 10);
    change(d);
    ExpectError(Validate(d, "thing"), Code::kCorrupt, {"thing: ", part});
  };
  EXPECT_OK(Validate(Toy(20, 10), "thing"));
  refuse([](Dataset& d) { d.height = 0; }, "0x4");
  refuse([](Dataset& d) { d.channels = 2; }, "2 channels");
  refuse([](Dataset& d) { d.num_classes = 0; }, "number of classes is 0");
  refuse([](Dataset& d) { d.num_classes = 2; }, "3 class names for 2 classes");
  refuse([](Dataset& d) { d.class_names[1] = "a\nb"; }, "class name 1");
  refuse([](Dataset& d) { d.mean = {0.5}; }, "1 values for 3 channels");
  refuse([](Dataset& d) { d.std[1] = std::nan(""); }, "mean and std");
  refuse([](Dataset& d) { d.test() = Split(); }, "test split has no samples");
  refuse([](Dataset& d) { d.train() = Split(); }, "train split has no samples");
  refuse([](Dataset& d) { d.train().images.pop_back(); }, "19 images but 20 labels");
  refuse([](Dataset& d) { d.train().labels[4] = 3; }, "label at index 4 is 3");
}

TEST(HoldOut, PerClassDeterministicOrdered) {
  Dataset a = Toy(60, 0), b = Toy(60, 0), c = Toy(60, 0);
  const Dataset whole = a;
  ASSERT_OK(HoldOut(&a, 0.25, 5, SplitKind::kVal));
  ASSERT_OK(HoldOut(&b, 0.25, 5, SplitKind::kVal));
  ASSERT_OK(HoldOut(&c, 0.25, 6, SplitKind::kVal));
  EXPECT_EQ(a.val().images, b.val().images);
  EXPECT_NE(a.val().images, c.val().images);
  const auto all = ClassCounts(whole.train().labels, 3), held = ClassCounts(a.val().labels, 3);
  for (size_t k = 0; k < 3; ++k) EXPECT_EQ(held[k], std::llround(0.25 * static_cast<double>(all[k])));
  EXPECT_EQ(a.train().size() + a.val().size(), 60);
  ExpectError(HoldOut(&a, 0.25, 5, SplitKind::kVal), Code::kFailedPrecondition, {"val split already has samples"});
  ExpectError(HoldOut(&a, 1.0, 5, SplitKind::kTest), Code::kInvalidArgument, {"between 0 and 1"});
}

TEST(HoldOut, SmallClassesStayInTraining) {
  const auto held = ChooseHeldOut({0, 1, 1, 2, 2, 2}, 3, 0.9, 1);
  EXPECT_EQ(held[0], 0);                      // a lone sample
  EXPECT_EQ(held[1] + held[2], 1);            // one on each side
  EXPECT_EQ(held[3] + held[4] + held[5], 2);  // never all
}

TEST(Convert, SizeAndChannels) {
  Dataset d = Toy(20, 10);
  ASSERT_OK(ConvertImages(&d, 8, 0, 1));
  EXPECT_EQ(d.height, 8);
  EXPECT_EQ(d.width, 4);
  EXPECT_EQ(d.channels, 1);
  EXPECT_EQ(d.train().images.size(), 20u * 32);
  ExpectError(ConvertImages(&d, -1, 0, 0), Code::kInvalidArgument, {"-1x4"});
}

}  // namespace
}  // namespace distil::data
