#include "harness/table_set.h"

#include <algorithm>
#include <set>

#include "harness/plan.h"

namespace distil::harness {
namespace {

bool HasRuns(const TableSpec& spec, const std::vector<RunRecord>& records) {
  std::set<std::string> hashes;
  for (const auto& [cell, hash] : spec.hashes) hashes.insert(hash);
  return std::any_of(records.begin(), records.end(),
                     [&](const RunRecord& r) { return r.recipe == spec.name || hashes.count(r.config_hash) > 0; });
}

}  // namespace

Status MakeTables(const std::vector<RunRecord>& records, const std::vector<Baseline>& baselines,
                  const std::vector<std::string>& only, std::vector<Table>* out) {
  out->clear();
  auto wanted = [&](const std::string& name) {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  };
  std::set<std::string> built_in;
  for (const std::string& name : RecipeNames()) {
    built_in.insert(name);
    if (!wanted(name)) continue;
    Recipe recipe;
    DISTIL_RETURN_IF_ERROR(LoadRecipe(name, {}, &recipe));
    TableSpec spec = RecipeTable(recipe);
    if (only.empty() && !HasRuns(spec, records)) continue;
    AddPaperCells(baselines, &spec);
    out->push_back(BuildTable(spec, records, baselines));
  }
  std::set<std::string> others;
  for (const RunRecord& r : records)
    if (!built_in.count(r.recipe) && wanted(r.recipe)) others.insert(r.recipe);
  for (const std::string& name : others) {
    TableSpec spec = SpecFromRecords(name, records);
    if (spec.columns.empty()) continue;
    AddPaperCells(baselines, &spec);
    out->push_back(BuildTable(spec, records, baselines));
  }
  return {};
}

Table MakeTable(const Recipe& recipe, const std::vector<RunRecord>& records, const std::vector<Baseline>& baselines) {
  TableSpec spec = RecipeTable(recipe);
  AddPaperCells(baselines, &spec);
  return BuildTable(spec, records, baselines);
}

}  // namespace distil::harness
