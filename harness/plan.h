// From recipes to runs: which networks are trained, with which settings and seeds, in which order and in
// which folder. Teachers come first; a run that several cells or recipes need is planned once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/recipe.h"
#include "harness/tables.h"
#include "lib/base/status.h"

namespace distil::harness {

struct PlannedRun {
  // As in RunRecord.
  std::string recipe, title, paper, table, selection;
  int64_t required_seeds = 1;
  std::string dataset, teacher, student, method, label, paper_teacher, paper_student, paper_method;
  std::vector<std::string> altered;
  Json config;
  std::string config_hash;
  int64_t seed = 1;
  int64_t full_epochs = 0;

  bool is_teacher = false;          // trained because other runs of the plan learn from it
  int teacher_run = -1;             // index in the plan of the run that trains the teacher
  std::string teacher_weights;      // or a safetensors file that came from elsewhere
  std::string teacher_weights_sha;  // its SHA-256

  std::string spec;  // the library's method
  std::map<std::string, std::string> options;
  TrainConfig train;
  int64_t limit_train = 0, limit_test = 0;

  std::string Folder() const;  // below the folder of runs
  std::string Name() const;    // "resnet32 → resnet8, kd, seed 1"
};

struct PlanChoice {
  std::vector<std::string> cells = {};  // "teacher:student:method", each part may be "*"; none: all cells
  int64_t seed = 0;                     // only this one; 0: all of the recipe
  int shard = 1, shards = 1;            // this one of so many: cells and seeds are dealt out in turn
  std::map<std::string, std::string> teacher_weights = {};  // network -> file, instead of training it
};

// Adds the runs of `recipe` to *plan, teachers before what needs them.
Status AddToPlan(const Recipe& recipe, const PlanChoice& choice, std::vector<PlannedRun>* plan);

// The table that a recipe fills. Its cells are found by the hashes that the recipe gives.
TableSpec RecipeTable(const Recipe& recipe);

}  // namespace distil::harness
