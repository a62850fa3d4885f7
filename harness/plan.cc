#include "harness/plan.h"

#include <algorithm>
#include <set>

#include "harness/digest.h"
#include "harness/files.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

// Settings apply from the general to the particular: recipe, network, pair, method.
TrainConfig CellTrain(const Recipe& recipe, const Recipe::Pair& pair, const Recipe::Method& method) {
  TrainConfig train = recipe.train;
  if (const auto* network = recipe.FindNetwork(pair.student)) train.update(network->train);
  train.update(pair.train);
  train.update(method.train);
  return train;
}

TrainConfig TeacherTrain(const Recipe& recipe, const std::string& network) {
  TrainConfig train = recipe.train;
  if (const auto* n = recipe.FindNetwork(network)) train.update(n->train);
  train.update(recipe.teacher_train);
  return train;
}

std::string PaperName(const Recipe& recipe, const std::string& network) {
  if (recipe.paper.empty() || network.empty()) return "";
  const auto* n = recipe.FindNetwork(network);
  return n ? n->paper : network;
}

// What a run is, without its seed and without how its results are shown: the hash of this names its folder.
void Resolve(PlannedRun* run, const Json& teacher) {
  run->config = {{"dataset", run->dataset},
                 {"student", run->student},
                 {"teacher", teacher},
                 {"method", run->spec},
                 {"options", run->options},
                 {"train", run->train},
                 {"limit_train", run->limit_train},
                 {"limit_test", run->limit_test},
                 {"full_epochs", run->full_epochs}};
  // A format that is off goes unnamed, so that runs of the time before it keep their hash.
  if (Json& train = run->config["train"]; train.contains("tf32") && !train["tf32"].get<bool>()) train.erase("tf32");
  run->config_hash = Sha256(Canonical(run->config));
}

PlannedRun Common(const Recipe& recipe) {
  PlannedRun run;
  run.recipe = recipe.name, run.title = recipe.title, run.paper = recipe.paper, run.table = recipe.table;
  run.selection = recipe.selection, run.dataset = recipe.dataset, run.altered = recipe.altered;
  run.limit_train = recipe.limit_train, run.limit_test = recipe.limit_test;
  return run;
}

PlannedRun TeacherRun(const Recipe& recipe, const std::string& network) {
  PlannedRun run = Common(recipe);
  run.student = network, run.method = run.spec = "ce", run.label = "CE";
  run.paper_student = PaperName(recipe, network);
  run.is_teacher = true, run.seed = recipe.teacher_seed;
  run.train = TeacherTrain(recipe, network);
  run.full_epochs = recipe.full_teacher_epochs;
  if (recipe.limit_teacher_train >= 0) run.limit_train = recipe.limit_teacher_train;
  Resolve(&run, nullptr);
  return run;
}

PlannedRun CellRun(const Recipe& recipe, const Recipe::Pair& pair, const Recipe::Method& method) {
  PlannedRun run = Common(recipe);
  run.teacher = method.teacher ? pair.teacher : "";
  run.student = pair.student, run.method = method.name, run.label = method.label;
  run.paper_teacher = PaperName(recipe, run.teacher), run.paper_student = PaperName(recipe, pair.student);
  run.paper_method = recipe.paper.empty() ? "" : method.paper;
  run.required_seeds = recipe.seeds;
  run.spec = method.spec, run.options = method.options;
  run.train = CellTrain(recipe, pair, method);
  run.full_epochs = recipe.full_epochs;
  return run;
}

bool Matches(const std::string& pattern, const Recipe::Pair& pair, const Recipe::Method& method) {
  std::vector<std::string> parts = Split(pattern, ':');
  auto match = [](const std::string& part, const std::string& name) { return part == "*" || part == name; };
  return match(parts[0], pair.teacher) && match(parts[1], pair.student) && match(parts[2], method.name);
}

Status CheckCells(const Recipe& recipe, const PlanChoice& choice) {
  for (const std::string& cell : choice.cells) {
    std::vector<std::string> parts = Split(cell, ':');
    if (parts.size() != 3)
      return InvalidArgument("--cell " + cell + ": expected TEACHER:STUDENT:METHOD, where each part may be '*'");
    std::vector<std::string> known[3];
    for (const auto& pair : recipe.pairs) known[0].push_back(pair.teacher), known[1].push_back(pair.student);
    for (const auto& method : recipe.methods) known[2].push_back(method.name);
    const char* what[] = {"teacher", "student", "method"};
    for (int i = 0; i < 3; ++i) {
      std::sort(known[i].begin(), known[i].end());
      known[i].erase(std::unique(known[i].begin(), known[i].end()), known[i].end());
      if (parts[i] != "*" && std::find(known[i].begin(), known[i].end(), parts[i]) == known[i].end())
        return InvalidArgument("--cell " + cell + ": " + recipe.name + " has no " + what[i] + " '" + parts[i] + "'" +
                               DidYouMean(parts[i], known[i]));
    }
  }
  return {};
}

bool Chosen(const Recipe::Pair& pair, const Recipe::Method& method, const PlanChoice& choice) {
  if (!pair.methods.empty() && std::find(pair.methods.begin(), pair.methods.end(), method.name) == pair.methods.end())
    return false;
  if (method.teacher && pair.teacher.empty()) return false;
  if (choice.cells.empty()) return true;
  return std::any_of(choice.cells.begin(), choice.cells.end(), [&](const auto& c) { return Matches(c, pair, method); });
}

// The index of the same run in the plan, or -1.
int Find(const std::vector<PlannedRun>& plan, const PlannedRun& run) {
  for (size_t i = 0; i < plan.size(); ++i)
    if (plan[i].config_hash == run.config_hash && plan[i].seed == run.seed) return static_cast<int>(i);
  return -1;
}

Json TeacherConfig(const PlannedRun& teacher) {
  return {{"network", teacher.student}, {"config_hash", teacher.config_hash}, {"seed", teacher.seed}};
}

}  // namespace

std::string PlannedRun::Folder() const { return RunFolder(dataset, teacher, student, method, seed, config_hash); }

std::string PlannedRun::Name() const {
  return (teacher.empty() ? "" : teacher + " → ") + student + ", " + method + ", seed " + std::to_string(seed);
}

Status AddToPlan(const Recipe& recipe, const PlanChoice& choice, std::vector<PlannedRun>* plan) {
  DISTIL_RETURN_IF_ERROR(CheckCells(recipe, choice));
  std::map<std::string, std::string> sha;
  for (const auto& [network, file] : choice.teacher_weights) DISTIL_RETURN_IF_ERROR(Sha256File(file, &sha[network]));
  std::vector<PlannedRun> cells;
  const int64_t first = choice.seed ? choice.seed : 1, last = choice.seed ? choice.seed : recipe.seeds;
  for (int64_t seed = first; seed <= last; ++seed) {
    for (const auto& pair : recipe.pairs) {
      for (const auto& method : recipe.methods) {
        if (!Chosen(pair, method, choice)) continue;
        PlannedRun run = CellRun(recipe, pair, method);
        run.seed = seed;
        Json teacher = nullptr;
        if (!run.teacher.empty()) {
          if (auto weights = choice.teacher_weights.find(run.teacher); weights != choice.teacher_weights.end()) {
            run.teacher_weights = weights->second, run.teacher_weights_sha = sha[run.teacher];
            teacher = {{"network", run.teacher}, {"sha256", run.teacher_weights_sha}};
          } else {
            teacher = TeacherConfig(TeacherRun(recipe, run.teacher));
          }
        }
        Resolve(&run, teacher);
        if (Find(cells, run) < 0) cells.push_back(std::move(run));  // a plain student serves all its pairs
      }
    }
  }
  // Deal the cells out, then see which teachers this share needs.
  std::vector<PlannedRun> mine;
  for (size_t i = 0; i < cells.size(); ++i)
    if (static_cast<int>(i % choice.shards) == choice.shard - 1) mine.push_back(std::move(cells[i]));
  std::map<std::string, int> trained;
  for (const PlannedRun& run : mine) {
    if (run.teacher.empty() || !run.teacher_weights.empty() || trained.count(run.teacher)) continue;
    PlannedRun teacher = TeacherRun(recipe, run.teacher);
    int at = Find(*plan, teacher);
    if (at < 0) at = static_cast<int>(plan->size()), plan->push_back(std::move(teacher));
    (*plan)[at].is_teacher = true;
    trained[run.teacher] = at;
  }
  for (PlannedRun& run : mine) {
    if (!run.teacher.empty() && run.teacher_weights.empty()) run.teacher_run = trained[run.teacher];
    if (Find(*plan, run) < 0) plan->push_back(std::move(run));
  }
  return {};
}

TableSpec RecipeTable(const Recipe& recipe) {
  TableSpec table, *spec = &table;
  spec->name = recipe.name, spec->title = recipe.title, spec->paper = recipe.paper, spec->table = recipe.table;
  spec->dataset = recipe.dataset, spec->selection = recipe.selection;
  for (const auto& pair : recipe.pairs)
    spec->columns.push_back(
        {pair.teacher, pair.student, PaperName(recipe, pair.teacher), PaperName(recipe, pair.student)});
  for (bool plain : {true, false})
    for (const auto& m : recipe.methods)
      if (m.teacher != plain) spec->rows.push_back({m.name, m.label, recipe.paper.empty() ? "" : m.paper, plain});
  for (size_t r = 0; r < spec->rows.size(); ++r) {
    for (size_t c = 0; c < spec->columns.size(); ++c) {
      const auto& pair = recipe.pairs[c];
      const auto& method = *recipe.FindMethod(spec->rows[r].method);
      if (!Chosen(pair, method, {})) continue;
      PlannedRun run = CellRun(recipe, pair, method);
      Resolve(&run, run.teacher.empty() ? Json(nullptr) : TeacherConfig(TeacherRun(recipe, run.teacher)));
      spec->hashes[{r, c}] = run.config_hash;
    }
  }
  return table;
}

}  // namespace distil::harness
