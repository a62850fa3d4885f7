// Recipes: text files (TOML) that say what to train for one table of results. Every key, with its meaning, is
// in harness/recipes/README.md. Parsing is strict: an unknown key, a wrong type or a value out of range is
// one sentence with file and line, and a misspelt key names the nearest right one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/synth.h"
#include "harness/fields.h"
#include "lib/base/status.h"

namespace distil::harness {

// How one network is trained: epochs, batch and the trainer options of distil.h, every one with its value.
using TrainConfig = Json;
TrainConfig DefaultTrain();
// Reads the keys that are present over *train, which is complete.
void ReadTrain(const Json& table, const std::string& path, const Source& source, Status* status, TrainConfig* train);
const std::vector<std::string>& TrainKeys();
// "lr=0.05 momentum=0.9 ...": all but epochs and batch, as distil_trainer_create takes them.
std::string TrainerOptions(const TrainConfig& train);

struct Recipe {
  struct Network {
    std::string name, paper;      // paper: its name in the baselines
    Json train = Json::object();  // overrides, checked
  };
  struct Method {
    std::string name, label, paper;  // --cell and folder name; the table's row; its name in the baselines
    std::string spec;                // for the library: "kd", "kd+at"
    std::map<std::string, std::string> options;
    bool teacher = true;  // needs one; false for the plain student
    Json train = Json::object();
  };
  struct Pair {
    std::string teacher, student;      // teacher may be empty: only methods without one
    std::vector<std::string> methods;  // names; all of the recipe when empty
    Json train = Json::object();
  };

  std::string name;  // "dskd/table1"
  std::string title, paper, table, dataset, selection = "last";
  int64_t seeds = 3;
  int64_t full_epochs = 0;  // of students; 0: as long as `train` says
  int64_t full_teacher_epochs = 0;
  int64_t limit_train = 0, limit_test = 0;
  int64_t limit_teacher_train = -1;  // of teachers; -1: as limit_train
  TrainConfig train;
  int64_t teacher_seed = 1;
  Json teacher_train = Json::object();  // overrides for teachers
  std::vector<Network> networks;
  std::vector<Method> methods;
  std::vector<Pair> pairs;
  std::optional<data::SynthOptions> synth;  // the data set is generated
  std::vector<std::string> altered;         // settings from the command line, other than epochs and limits

  const Method* FindMethod(const std::string& method) const;
  const Network* FindNetwork(const std::string& network) const;
};

// What the command line changes.
struct RecipeChanges {
  std::vector<std::string> set = {};  // "train.lr=0.1"; a bare "lr=0.1" means train.lr
  int64_t seeds = 0, epochs = 0, teacher_epochs = 0, limit_train = -1,
          limit_test = -1;  // 0 or -1: as the recipe says
};

// Parses `text`. `name` becomes the recipe's name, `file` is for messages.
Status ParseRecipe(std::string_view text, const std::string& name, const std::string& file,
                   const RecipeChanges& changes, Recipe* out);
// `name` is a built-in recipe ("dskd/table1"), or the path of a .toml file, whose name without folder and
// ending is used.
Status LoadRecipe(const std::string& name, const RecipeChanges& changes, Recipe* out);
// Names of the built-in recipes, sorted.
std::vector<std::string> RecipeNames();
// A suite is a recipe, a folder of recipes ("dskd": all its tables) or a .toml file.
Status SuiteRecipes(const std::string& suite, std::vector<std::string>* names);

}  // namespace distil::harness
