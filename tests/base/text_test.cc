#include "lib/base/text.h"

#include <gtest/gtest.h>

#include <clocale>
#include <string>
#include <vector>

namespace distil {
namespace {

TEST(Text, TrimAndSplit) {
  EXPECT_EQ(Trim(" \t a b\n"), "a b");
  EXPECT_EQ(Trim("  "), "");
  EXPECT_EQ(Split("", ','), (std::vector<std::string_view>{""}));
  EXPECT_EQ(Split("a,,b,", ','), (std::vector<std::string_view>{"a", "", "b", ""}));
  EXPECT_EQ(Join(std::vector<std::string>{"a", "b"}, ", "), "a, b");
}

TEST(Text, NumbersAreStrict) {
  double v = 7;
  EXPECT_TRUE(ParseNumber("5e-4", &v));
  EXPECT_EQ(v, 5e-4);
  EXPECT_TRUE(ParseNumber("-3", &v));
  for (const char* bad : {"", " 1", "1 ", "1,5", "0x10", "1e999", "nan", "inf", "-", "1.5.2"}) {
    v = 7;
    EXPECT_FALSE(ParseNumber(bad, &v)) << bad;
    EXPECT_EQ(v, 7);
  }
  int64_t i;
  EXPECT_TRUE(ParseInteger("-9223372036854775808", &i));
  EXPECT_FALSE(ParseInteger("9223372036854775808", &i));
  EXPECT_FALSE(ParseInteger("1.0", &i));
  uint64_t u;
  EXPECT_TRUE(ParseUnsigned("18446744073709551615", &u));
  EXPECT_FALSE(ParseUnsigned("-1", &u));
}

TEST(Text, NumbersReadBack) {
  EXPECT_EQ(FormatNumber(0.1), "0.1");
  EXPECT_EQ(FormatNumber(240), "240");
  for (double v : {1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0}) {
    double back;
    ASSERT_TRUE(ParseNumber(FormatNumber(v), &back));
    EXPECT_EQ(back, v);
  }
}

TEST(Text, EditDistance) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("abc", ""), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("epcohs", "epochs"), 1);  // a swap
  EXPECT_EQ(EditDistance("lr", "rl"), 1);
}

TEST(Text, Nearest) {
  const std::vector<std::string> names = {"epochs", "steps_per_epoch", "seed"};
  EXPECT_EQ(Nearest("epoch", names), "epochs");
  EXPECT_EQ(Nearest("sead", names), "seed");
  EXPECT_EQ(Nearest("x", {}), "");
  EXPECT_EQ(NoSuch("option", "epoch", names), "no option 'epoch'; the nearest is 'epochs'");
  EXPECT_EQ(NoSuch("tap", "f9", {}), "no tap 'f9'");
}

}  // namespace
}  // namespace distil
