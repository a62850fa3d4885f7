#include "lib/train/options.h"

#include <set>

#include "tests/train/lab.h"

namespace distil {
namespace {

TEST(Options, Split) {
  TextOptions o;
  ASSERT_OK(SplitOptions("  T=4\tlr=0.05\n mean=0.5,0.5,0.5 empty= x==y ", &o));
  EXPECT_EQ(o, (TextOptions{{"T", "4"}, {"lr", "0.05"}, {"mean", "0.5,0.5,0.5"}, {"empty", ""}, {"x", "=y"}}));
  ASSERT_OK(SplitOptions("", &o));
  EXPECT_TRUE(o.empty());
  ExpectError(SplitOptions("lr=1 nesterov", &o), Code::kInvalidArgument, "option 'nesterov': expected key=value");
  ExpectError(SplitOptions("=1", &o), Code::kInvalidArgument, "expected key=value");
  ExpectError(SplitOptions("lr=1 lr=1", &o), Code::kInvalidArgument, "'lr' is given twice");
}

TEST(Options, DefaultsAreTheBenchmarks) {
  TrainingOptions o;
  TextOptions resolved;
  ASSERT_OK(ReadTrainingOptions({}, &o, &resolved));
  EXPECT_EQ(o.epochs, 240);
  EXPECT_EQ(o.lr, 0.05);
  EXPECT_EQ(o.momentum, 0.9);
  EXPECT_EQ(o.weight_decay, 5e-4);
  EXPECT_EQ(o.milestones, (std::vector<double>{150, 180, 210}));
  EXPECT_EQ(resolved.size(), TrainingOptionRows().size());
  EXPECT_EQ(resolved["weight_decay"], "5e-04");
}

TEST(Options, TableIsComplete) {
  std::set<std::string> names;
  for (const OptionRow& r : TrainingOptionRows()) {
    EXPECT_TRUE(names.insert(r.name).second) << r.name;
    EXPECT_GT(std::strlen(r.help), 5u) << r.name;
  }
}

TEST(Options, CanonicalTextIsOne) {
  TrainingOptions o;
  TextOptions a, b;
  ASSERT_OK(ReadTrainingOptions(Text("lr=5e-2 milestones=1e2,200.0 nesterov=true seed=007"), &o, &a));
  ASSERT_OK(ReadTrainingOptions(Text("lr=0.05 milestones=100,200 nesterov=1 seed=7"), &o, &b));
  EXPECT_EQ(a, b);
}

TEST(Options, MistakesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"epoch=3", "no option 'epoch'; the nearest is 'epochs'"},
      {"lr=fast", "option lr=fast: not a number"},
      {"lr=nan", "not a number"},
      {"lr=-1", "must be from 0"},
      {"epochs=0", "must be above 0"},
      {"epochs=1e300", "must be from"},
      {"steps_per_epoch=1.5", "not an integer"},
      {"steps_per_epoch=-1", "must be from 0"},
      {"seed=-1", "not an integer from 0 on"},
      {"seed=18446744073709551616", "not an integer from 0 on"},
      {"nesterov=yes", "must be 0 or 1"},
      {"optimizer=sdg", "must be one of sgd, adam"},
      {"milestones=150,,210", "'' is not a number"},
      {"milestones=180,150", "they must rise"},
      {"nesterov=1 momentum=0", "needs a momentum"},
      {"flip=1.5", "must be from 0 to 1"},
      {"std=0.5,0,0.5", "must be above 0"},
      {"hue=0.6", "must be from 0 to 0.5"},
  };
  for (const auto& [text, message] : cases) {
    TrainingOptions o;
    ExpectError(ReadTrainingOptions(Text(text), &o, nullptr), Code::kInvalidArgument, message);
  }
}

TEST(Options, OverridesAreForUpdatesOnly) {
  TrainingOptions o;
  ASSERT_OK(ReadTrainingOptions({}, &o, nullptr));
  ASSERT_OK(OverrideTrainingOptions(Text("optimizer=adam lr=1e-3"), &o));
  EXPECT_EQ(o.optimizer, "adam");
  EXPECT_EQ(o.lr, 1e-3);
  EXPECT_EQ(o.weight_decay, 5e-4);
  ExpectError(OverrideTrainingOptions(Text("seed=3"), &o), Code::kInvalidArgument, "belongs to the whole run");
  ExpectError(OverrideTrainingOptions(Text("lrate=3"), &o), Code::kInvalidArgument, "no option 'lrate'");
}

TEST(Options, Network) {
  NetworkOptions o;
  ASSERT_OK(ReadNetworkOptions(Text("classes=10 input=1,28,28"), &o));
  EXPECT_EQ(o.classes, 10);
  EXPECT_EQ(o.input, (std::vector<double>{1, 28, 28}));
  ASSERT_OK(ReadNetworkOptions({}, &o));
  EXPECT_TRUE(o.input.empty());
  for (const char* bad : {"input=3,32", "input=0,32,32", "input=3,1.5,32", "input=3,32,32,1", "classes=0", "class=3"})
    EXPECT_FALSE(ReadNetworkOptions(Text(bad), &o).ok()) << bad;
}

}  // namespace
}  // namespace distil
