#include "lib/io/json.h"

#include <gtest/gtest.h>

namespace distil {
namespace {

TEST(Json, Values) {
  Json v;
  ASSERT_TRUE(ParseJson(R"( {"a": [1, -2.5e+3, true, null], "b": {"c": "x\ty\"\/"}} )", &v).ok());
  ASSERT_EQ(v.type, Json::kObject);
  const Json& a = *v.Find("a");
  ASSERT_EQ(a.items.size(), 4u);
  EXPECT_EQ(a.items[0].text, "1");
  EXPECT_EQ(a.items[1].text, "-2.5e+3");
  EXPECT_EQ(a.items[2].type, Json::kBool);
  EXPECT_EQ(a.items[3].type, Json::kNull);
  EXPECT_EQ(v.Find("b")->Find("c")->text, "x\ty\"/");
  EXPECT_EQ(v.Find("z"), nullptr);
}

TEST(Json, Escapes) {
  Json v;
  ASSERT_TRUE(ParseJson(R"("A\u00e9\u20ac\ud83d\ude00")", &v).ok());
  EXPECT_EQ(v.text, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST(Json, Refused) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "byte 0: expected a value"},
      {"{", "expected a name in quotes"},
      {"{\"a\" 1}", "byte 5: expected ':'"},
      {"{\"a\":1,}", "expected a name in quotes"},
      {"{\"a\":1 \"b\":2}", "expected ',' or '}'"},
      {"{\"a\":1,\"\\u0061\":2}", "the same name twice"},
      {"[1 2]", "expected ',' or ']'"},
      {"[1,]", "expected a value"},
      {"01", "text after the value"},
      {"1.", "expected a digit"},
      {"1e", "expected a digit"},
      {".5", "expected a value"},
      {"+1", "expected a value"},
      {"NaN", "expected a value"},
      {"tru", "expected a value"},
      {"\"a", "string without end"},
      {"\"\n\"", "control character"},
      {"\"\\x\"", "unknown escape"},
      {"\"\\u12g4\"", "four hexadecimal digits"},
      {"\"\\ud800\"", "half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
      {"\"\\udc00\"", "half of a surrogate pair"},
      {"\"\xff\"", "not UTF-8"},
      {"\"\xc0\x80\"", "not UTF-8"},          // overlong
      {"\"\xed\xa0\x80\"", "not UTF-8"},      // a surrogate
      {"\"\xf4\x90\x80\x80\"", "not UTF-8"},  // above U+10FFFF
      {"\"\xe2\x82\"", "not UTF-8"},          // cut short
      {"1 2", "text after the value"},
  };
  for (const auto& [text, message] : cases) {
    Json v;
    const Status s = ParseJson(text, &v);
    EXPECT_FALSE(s.ok()) << text;
    EXPECT_NE(s.message().find(message), std::string::npos) << text << ": " << s.message();
  }
}

TEST(Json, DepthIsLimited) {
  Json v;
  EXPECT_TRUE(ParseJson(std::string(30, '[') + std::string(30, ']'), &v).ok());
  EXPECT_FALSE(ParseJson(std::string(100000, '['), &v).ok());
}

TEST(Json, StringsReadBack) {
  const std::string s = "a\"b\\c\n\x01\xc3\xa9/";
  std::string text;
  AppendJsonString(s, &text);
  Json v;
  ASSERT_TRUE(ParseJson(text, &v).ok()) << text;
  EXPECT_EQ(v.text, s);
}

}  // namespace
}  // namespace distil
