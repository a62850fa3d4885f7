// Combine: a method expression ("at", "kd+at") with its options becomes a recipe for the trainer.
//
//   total = ce.weight * CE(student, labels; ce.smoothing) + sum over methods of weight * term
//
// Options are text. `<method>.<option>` always names one, `<option>` alone when the expression is one method; "ce" is
// short for "ce.weight" and "smoothing" for "ce.smoothing". What is not given has the default of its file.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "losses/method.h"

namespace distil {

struct Recipe {
  std::string expression;          // "kd+at"
  std::vector<std::string> roles;  // the networks it needs: "student", "teacher", ...
  std::vector<Phase> phases;
  std::map<std::string, std::string> options;  // every option under its full name: goes into run records
};

// `foreign`: names of options that belong to somebody else. They are skipped here, and offered when a key is misspelt.
// `methods`: those that an expression may name.
Status MakeRecipe(const std::string& expression, const std::map<std::string, std::string>& options, Recipe* out,
                  std::span<const std::string> foreign = {}, std::span<const Method* const> methods = AllMethods());

// "ce" and "smoothing", which every expression has.
std::span<const OptionSpec> CommonOptions();

}  // namespace distil
