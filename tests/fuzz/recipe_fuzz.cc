// The recipe reader: any text gives a recipe that can be planned, or one sentence.
#include <stddef.h>
#include <stdint.h>

#include <cstdlib>
#include <string_view>

#include "harness/plan.h"
#include "harness/recipe.h"

using namespace distil::harness;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Recipe recipe;
  distil::Status status = ParseRecipe(text, "fuzz", "fuzz.toml", {}, &recipe);
  if (!status.ok()) {
    if (status.message().empty()) abort();
    return 0;
  }
  PlanChoice choice;
  choice.seed = 1;  // one seed shows all there is
  std::vector<PlannedRun> plan;
  if (recipe.pairs.size() * recipe.methods.size() < 100 && AddToPlan(recipe, choice, &plan).ok()) RecipeTable(recipe);
  RecipeChanges changes;
  changes.epochs = 3;
  changes.set = {std::string(text.substr(0, 100))};
  (void)ParseRecipe(text, "fuzz", "fuzz.toml", changes, &recipe);
  return 0;
}
