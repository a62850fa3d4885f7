// Which tables a set of records fills: one for each built-in recipe that has runs among them, and one for each
// recipe that only the records know.
#pragma once

#include <string>
#include <vector>

#include "harness/baselines.h"
#include "harness/recipe.h"
#include "harness/tables.h"

namespace distil::harness {

// `only`: names of recipes to show, also without any runs; empty: all that have some.
Status MakeTables(const std::vector<RunRecord>& records, const std::vector<Baseline>& baselines,
                  const std::vector<std::string>& only, std::vector<Table>* out);

// The table of a recipe that is at hand, as the command line changed it, wherever its runs were first needed.
Table MakeTable(const Recipe& recipe, const std::vector<RunRecord>& records, const std::vector<Baseline>& baselines);

}  // namespace distil::harness
