// The table of methods, the files it stands for, and what every method must declare.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "losses/combine.h"
#include "losses/method.h"

namespace distil {
namespace {

TEST(Methods, OneFileEach) {
  std::set<std::string> files, names;
  for (const auto& entry : std::filesystem::directory_iterator("losses"))
    if (entry.path().extension() == ".cc") files.insert(entry.path().stem());
  for (const char* shared : {"combine", "common", "heads", "options", "registry"}) EXPECT_EQ(files.erase(shared), 1u);
  for (const Method* m : AllMethods()) names.insert(m->name);
  EXPECT_EQ(files, names);
  EXPECT_EQ(names.size(), AllMethods().size());
}

TEST(Methods, DeclareWhatTheyAre) {
  for (const Method* m : AllMethods()) {
    SCOPED_TRACE(m->name);
    EXPECT_EQ(FindMethod(m->name), m);
    EXPECT_NE(std::string(m->title), "");
    EXPECT_NE(std::string(m->source), "");
    EXPECT_NE(m->loss == nullptr, m->phases == nullptr);
    std::set<std::string> names;
    for (const OptionSpec& o : m->options) {
      EXPECT_TRUE(names.insert(o.name).second) << o.name;
      EXPECT_TRUE(CheckOption(o, o.name, o.fallback).ok()) << o.name;
      EXPECT_NE(std::string(o.help), "") << o.name;
    }
    if (m->loss) {
      EXPECT_EQ(names.count("weight"), 1u);
    }
  }
  EXPECT_EQ(FindMethod("kdd"), nullptr);
  EXPECT_EQ(FindMethod(""), nullptr);
}

TEST(Methods, CommonOptionsAreThoseOfCrossEntropy) {
  Recipe r;
  ASSERT_TRUE(MakeRecipe("ce", {}, &r).ok());
  for (const OptionSpec& o : CommonOptions()) {
    const std::string name = std::string(o.name) == "ce" ? "ce.weight" : std::string("ce.") + o.name;
    ASSERT_EQ(r.options.count(name), 1u) << name;
    EXPECT_EQ(r.options[name], o.fallback);
  }
}

}  // namespace
}  // namespace distil
