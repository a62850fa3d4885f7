#include "harness/recipe.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/baselines.h"
#include "harness/engine.h"
#include "harness/plan.h"
#include "harness/testing.h"

namespace distil::harness {
namespace {

const char kSmall[] = R"(
dataset = "d"
seeds = 2
[train]
epochs = 100
milestones = [50, 75]
[[network]]
name = "vgg8"
train = { lr = 0.01 }
[[method]]
name = "ce"
[[method]]
name = "kd"
options = { T = 4 }
train = { ce = 0.1 }
[[pair]]
teacher = "vgg13"
student = "vgg8"
[[pair]]
teacher = "resnet32x4"
student = "vgg8"
)";

std::string Mistake(const std::string& text, const RecipeChanges& changes = {}) {
  Recipe recipe;
  return ParseRecipe(text, "r", "r.toml", changes, &recipe).message();
}

std::string Changed(const std::string& from, const std::string& to) {
  std::string text = kSmall;
  size_t at = text.find(from);
  return text.replace(at, from.size(), to);
}

TEST(Recipe, ReadsAndFillsIn) {
  Recipe r;
  ASSERT_OK(ParseRecipe(kSmall, "r", "r.toml", {}, &r));
  EXPECT_EQ(r.train["epochs"], 100);
  EXPECT_EQ(r.train["momentum"], 0.9);
  EXPECT_EQ(r.full_epochs, 100);
  EXPECT_FALSE(r.FindMethod("ce")->teacher);
  EXPECT_EQ(r.FindMethod("kd")->options.at("T"), "4");
  EXPECT_NE(TrainerOptions(r.train).find("milestones=50,75 gamma=0.1"), std::string::npos);
}

TEST(Recipe, ShortStudentsHaveShortTeachers) {
  auto full = [](const std::string& more) {
    Recipe r;
    EXPECT_TRUE(ParseRecipe(std::string(kSmall) + "[teacher.train]\nepochs = 6\n" + more, "r", "r.toml", {}, &r).ok());
    return std::pair(r.full_epochs, r.full_teacher_epochs);
  };
  EXPECT_EQ(full(""), std::pair(int64_t{100}, int64_t{6}));
  EXPECT_EQ(full("[full]\nepochs = 240\n"), std::pair(int64_t{240}, int64_t{240}));
  EXPECT_EQ(full("[full]\nepochs = 240\nteacher_epochs = 6\n"), std::pair(int64_t{240}, int64_t{6}));
}

TEST(Recipe, OddTextIsAnError) {
  auto message = [](const std::string& text) {
    Recipe r;
    return ParseRecipe(text, "r", "r.toml", {}, &r).message();
  };
  EXPECT_EQ(message("[ =x]"), "r.toml: a key is malformed");
  EXPECT_EQ(message("# caf\u00e9\ntitle = 'caf\u00e9'\n"),
            "r.toml:2: only comments may hold letters beyond ASCII; text can say \\u00e9");
}

TEST(Recipe, SlipsAreNamedWithTheirLine) {
  EXPECT_EQ(Mistake(Changed("epochs", "epoch")), "r.toml:5: 'train.epoch' is unknown; did you mean 'epochs'?");
  EXPECT_EQ(Mistake(Changed("epochs = 100", "epochs = 0")),
            "r.toml:5: 'train.epochs' is 0, but must be from 1 to 100000");
  EXPECT_EQ(Mistake(Changed("epochs = 100", "epochs = 'many'")),
            "r.toml:5: 'train.epochs' must be a whole number, not text");
  EXPECT_EQ(Mistake(Changed("lr = 0.01", "lrr = 0.01")),
            "r.toml:9: 'network[0].train.lrr' is unknown; did you mean 'lr'?");
  EXPECT_EQ(Mistake(Changed("milestones = [50, 75]", "milestones = [75, 50]")),
            "r.toml:6: 'train.milestones' must be in increasing order");
  EXPECT_EQ(Mistake(Changed("dataset = \"d\"", "")), "r.toml: 'dataset' is missing");
  EXPECT_NE(Mistake("dataset = 'd'\n[[pair]]\nstudent = 'x'\n").find("at least one [[method]]"), std::string::npos);
  EXPECT_NE(Mistake("x = [").find("r.toml:1: not valid TOML"), std::string::npos);
  EXPECT_NE(Mistake(std::string("a\0b", 3)).find("not a text file"), std::string::npos);
  EXPECT_NE(Mistake(Changed("name = \"kd\"", "name = \"ce\"")).find("already there"), std::string::npos);
}

TEST(Recipe, CommandLineChangesAreCheckedTheSameWay) {
  EXPECT_EQ(Mistake(kSmall, {.set = {"train.lrr=1"}}), "--set train.lrr=1: 'train.lrr' is unknown; did you mean 'lr'?");
  EXPECT_EQ(Mistake(kSmall, {.set = {"lr=fast"}}), "--set train.lr=fast: 'train.lr' must be a number, not text");
  Recipe r;
  ASSERT_OK(
      ParseRecipe(kSmall, "r", "r.toml", {.set = {"lr=0.2", "method.kd.options.T=2"}, .seeds = 5, .epochs = 10}, &r));
  EXPECT_EQ(r.train["lr"], 0.2);
  EXPECT_EQ(r.FindMethod("kd")->options.at("T"), "2");
  EXPECT_EQ(r.seeds, 5);
  EXPECT_EQ(r.train["epochs"], 10);
  EXPECT_EQ(r.train["milestones"], Json({5, 8}));  // in proportion
  EXPECT_EQ(r.full_epochs, 100);                   // so the run is short
  EXPECT_EQ(r.altered, (std::vector<std::string>{"train.lr=0.2", "method.kd.options.T=2"}));
}

std::vector<PlannedRun> PlanOf(const Recipe& recipe, const PlanChoice& choice = {}) {
  std::vector<PlannedRun> plan;
  Status status = AddToPlan(recipe, choice, &plan);
  EXPECT_TRUE(status.ok()) << status.message();
  return plan;
}

TEST(Plan, TeachersFirstAndEachRunOnce) {
  Recipe r;
  ASSERT_OK(ParseRecipe(kSmall, "r", "r.toml", {}, &r));
  std::vector<PlannedRun> plan = PlanOf(r);
  // Two teachers; for each of two seeds one plain vgg8 and one KD for each teacher.
  ASSERT_EQ(plan.size(), 2u + 2u * 3u);
  EXPECT_TRUE(plan[0].is_teacher && plan[1].is_teacher);
  for (size_t i = 2; i < plan.size(); ++i) {
    EXPECT_EQ(plan[i].train["lr"], 0.01) << i;
    EXPECT_EQ(plan[i].teacher.empty(), plan[i].teacher_run < 0);
    if (plan[i].teacher_run < 0) continue;
    EXPECT_EQ(plan[plan[i].teacher_run].student, plan[i].teacher);
  }
  EXPECT_EQ(plan[0].train["lr"], 0.05);  // vgg8's own settings are not its teacher's
  for (size_t i = 0; i < plan.size(); ++i)
    for (size_t k = i + 1; k < plan.size(); ++k) EXPECT_NE(plan[i].Folder(), plan[k].Folder());
}

TEST(Plan, HashDependsOnWhatIsTrainedOnly) {
  Recipe a, b, c;
  ASSERT_OK(ParseRecipe(kSmall, "a", "a.toml", {}, &a));
  ASSERT_OK(ParseRecipe(std::string("title = 'other'\n") + kSmall, "b", "b.toml", {}, &b));
  ASSERT_OK(ParseRecipe(kSmall, "c", "c.toml", {.set = {"train.lr=0.06"}}, &c));
  EXPECT_EQ(PlanOf(a)[2].config_hash, PlanOf(b)[2].config_hash);
  EXPECT_NE(PlanOf(a)[0].config_hash, PlanOf(c)[0].config_hash);
}

TEST(Plan, CellsAndShards) {
  Recipe r;
  ASSERT_OK(ParseRecipe(kSmall, "r", "r.toml", {}, &r));
  std::vector<PlannedRun> one = PlanOf(r, {.cells = {"vgg13:vgg8:kd"}});
  ASSERT_EQ(one.size(), 3u);  // its teacher, two seeds
  EXPECT_EQ(PlanOf(r, {.cells = {"*:vgg8:ce"}}).size(), 2u);
  std::vector<PlannedRun> ignored;
  EXPECT_EQ(AddToPlan(r, {.cells = {"vgg13:vgg8:kdd"}}, &ignored).message(),
            "--cell vgg13:vgg8:kdd: r has no method 'kdd'; did you mean 'kd'?");
  EXPECT_FALSE(AddToPlan(r, {.cells = {"kd"}}, &ignored).ok());
  std::set<std::string> all, together;
  for (const auto& run : PlanOf(r)) all.insert(run.Folder());
  for (int shard : {1, 2, 3})
    for (const auto& run : PlanOf(r, {.shard = shard, .shards = 3})) together.insert(run.Folder());
  EXPECT_EQ(all, together);
}

TEST(Recipes, BuiltInOnesLoadAndFitTheirBaselines) {
  std::vector<Baseline> baselines;
  ASSERT_OK(BuiltInBaselines(&baselines));
  ASSERT_FALSE(RecipeNames().empty());
  for (const std::string& name : RecipeNames()) {
    Recipe r;
    ASSERT_OK(LoadRecipe(name, {}, &r));
    EXPECT_EQ(r.name, name);
    PlanOf(r);
    if (r.paper.empty()) continue;
    TableSpec spec = RecipeTable(r);
    for (size_t i = 0; i < spec.rows.size(); ++i) {
      for (size_t k = 0; k < spec.columns.size(); ++k) {
        if (!spec.hashes.count({i, k})) continue;  // the pair does without this method
        const auto& row = spec.rows[i];
        const auto& column = spec.columns[k];
        const Baseline* b = FindBaseline(baselines, r.paper, r.table, r.dataset, column.paper_teacher,
                                         column.paper_student, row.paper_method);
        ASSERT_TRUE(b) << name << " " << column.teacher << " " << column.student << " " << row.paper_method;
        EXPECT_EQ(r.selection, Name(b->selection)) << name;
        EXPECT_EQ(r.seeds, b->seeds) << name;
      }
    }
  }
}

TEST(Recipes, TeachersOfATableAreTheRunsOfTheTeachersRecipe) {
  for (const std::string name : {"dskd/table1", "dskd/table2", "dskd/table3", "crd/table1", "crd/table2"}) {
    Recipe table, teachers;
    ASSERT_OK(LoadRecipe(name, {}, &table));
    ASSERT_OK(LoadRecipe(name.substr(0, name.find('/')) + "/teachers", {}, &teachers));
    std::set<std::string> trained;
    for (const PlannedRun& run : PlanOf(teachers)) trained.insert(run.Folder());
    for (const PlannedRun& run : PlanOf(table)) {
      EXPECT_TRUE(!run.is_teacher || trained.count(run.Folder())) << run.Name();
    }
  }
}

TEST(Recipes, TrainTakesTheLibrarysOptions) {
  std::set<std::string> library, own(TrainKeys().begin(), TrainKeys().end());
  for (const OptionInfo& option : CommonOptions()) library.insert(option.name);
  own.insert("ce"), own.insert("smoothing");  // of every method rather than of the trainer
  library.insert("ce"), library.insert("smoothing");
  // The batch is the harness's; these it sets itself from the data set and the seed.
  own.erase("batch");
  for (const char* key : {"steps_per_epoch", "samples", "seed", "mean", "std", "gradients"}) library.erase(key);
  EXPECT_EQ(own, library);
}

TEST(Recipes, UnknownNamesAreHelped) {
  Recipe r;
  EXPECT_NE(LoadRecipe("dskd/tabel1", {}, &r).message().find("did you mean 'dskd/table1'?"), std::string::npos);
  std::vector<std::string> names;
  ASSERT_OK(SuiteRecipes("dskd", &names));
  EXPECT_EQ(names.size(), 5u);
  EXPECT_FALSE(SuiteRecipes("dskdd", &names).ok());
  EXPECT_NE(LoadRecipe("/nonexistent/x.toml", {}, &r).message().find("cannot open '/nonexistent/x.toml'"),
            std::string::npos);
}

}  // namespace
}  // namespace distil::harness
