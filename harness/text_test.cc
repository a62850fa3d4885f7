#include "harness/text.h"

#include <gtest/gtest.h>

namespace distil::harness {
namespace {

TEST(Text, NearestFindsSlipsOnly) {
  EXPECT_EQ(Nearest("epoch", {"epochs", "batch"}), "epochs");
  EXPECT_EQ(Nearest("wieght_decay", {"weight_decay", "momentum"}), "weight_decay");
  EXPECT_EQ(Nearest("resnet18", {"resnet8", "resnet18_cifar"}), "resnet18_cifar");
  EXPECT_EQ(Nearest("zzzz", {"epochs", "batch"}), "");
  EXPECT_EQ(DidYouMean("zzzz", {"a_b_c", "d_e_f"}), "; known are a_b_c, d_e_f");
}

TEST(Text, NumbersForPeople) {
  EXPECT_EQ(Fixed(72.345, 1), "72.3");
  EXPECT_EQ(Fixed(-0.001, 2), "0.00");
  EXPECT_EQ(Signed(-0.5, 2), "−0.50");
  EXPECT_EQ(Signed(0.5, 2), "+0.50");
  EXPECT_EQ(Bytes(1536), "1.5 KiB");
  EXPECT_EQ(Duration(3723), "1 h 02 min");
  EXPECT_EQ(Duration(61), "1 min 01 s");
  EXPECT_EQ(Grouped(50000), "50,000");
  EXPECT_EQ(Grouped(1234567), "1,234,567");
  EXPECT_EQ(Grouped(12), "12");
}

TEST(Text, Escapes) {
  EXPECT_EQ(EscapeHtml("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
  EXPECT_EQ(EscapeMarkdown("a|b_c"), "a\\|b\\_c");
  EXPECT_EQ(EscapeCsv("a,\"b\""), "\"a,\"\"b\"\"\"");
  EXPECT_EQ(FolderName("a:b/c d"), "a_b_c_d");
  EXPECT_EQ(FolderName(".."), "_..");
}

}  // namespace
}  // namespace distil::harness
