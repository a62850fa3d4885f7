#include "harness/fields.h"

#include <gtest/gtest.h>

#include "harness/toml.h"

namespace distil::harness {
namespace {

std::string JsonMistake(const std::string& text) {
  Json json;
  return ParseJson(text, "f.json", &json).message();
}

TEST(Fields, BadJsonIsOneSentence) {
  EXPECT_NE(JsonMistake("{\"a\": }").find("f.json: not valid JSON, at line 1, column 7"), std::string::npos);
  EXPECT_EQ(JsonMistake("{\"a\": 1, \"a\": 2}"), "f.json: the key 'a' is given twice");
  EXPECT_NE(JsonMistake(std::string(100, '[')).find("64 levels"), std::string::npos);
  EXPECT_NE(JsonMistake("").find("f.json: not valid JSON"), std::string::npos);
}

// Reads {"n": whole from 1 to 9, "name": text} and returns the message.
std::string Read(const std::string& toml) {
  Json json;
  Source source;
  Status status = ParseToml(toml, "r.toml", &json, &source);
  if (!status.ok()) return status.message();
  FieldReader f(json, "", source, &status);
  int64_t n = 0;
  std::string name;
  f.Read("n", &n, 1, 9);
  f.Read("name", &name);
  f.Finish();
  return status.message();
}

TEST(Fields, NameTheFileTheLineAndTheField) {
  EXPECT_EQ(Read("n = 3\nname = 'x'\n"), "");
  EXPECT_EQ(Read("n = 3\n"), "r.toml: 'name' is missing");
  EXPECT_EQ(Read("\nn = 30\nname = 'x'\n"), "r.toml:2: 'n' is 30, but must be from 1 to 9");
  EXPECT_EQ(Read("n = 3\nname = 4\n"), "r.toml:2: 'name' must be text, not a whole number");
  EXPECT_EQ(Read("n = 3.5\nname = 'x'\n"), "r.toml:1: 'n' must be a whole number, not a number");
  EXPECT_EQ(Read("n = 3\nname = 'x'\nnam = 1\n"), "r.toml:3: 'nam' is unknown; did you mean 'name'?");
  EXPECT_NE(Read("n = \n").find("r.toml:1: not valid TOML"), std::string::npos);
  EXPECT_NE(Read("n = 1979-05-27\n").find("date or time"), std::string::npos);
}

TEST(Fields, SettingsReachNamedTables) {
  Json json;
  Source source;
  ASSERT_TRUE(ParseToml("[[method]]\nname = 'kd'\n[[method]]\nname = 'at'\n", "r.toml", &json, &source).ok());
  ASSERT_TRUE(ApplySetting("method.at.options.T=2", &json, &source).ok());
  EXPECT_EQ(json["method"][1]["options"]["T"], 2);
  ASSERT_TRUE(ApplySetting("title=no quotes needed", &json, &source).ok());
  EXPECT_EQ(json["title"], "no quotes needed");
  EXPECT_EQ(ApplySetting("method.atx.spec=ce", &json, &source).message(),
            "--set method.atx.spec=ce: there is no 'atx' in 'method'; did you mean 'at'?");
  EXPECT_FALSE(ApplySetting("nonsense", &json, &source).ok());
  EXPECT_FALSE(ApplySetting("title.x=1", &json, &source).ok());
}

TEST(Fields, CanonicalTextDoesNotDependOnOrder) {
  Json a = {{"b", 1}, {"a", 0.1}}, b = {{"a", 0.1}, {"b", 1}};
  EXPECT_EQ(Canonical(a), "{\"a\":0.1,\"b\":1}");
  EXPECT_EQ(Canonical(a), Canonical(b));
}

}  // namespace
}  // namespace distil::harness
