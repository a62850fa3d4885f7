// TOML text as a Json tree with the line of every field, and changes to it from the command line.
#pragma once

#include <string>
#include <string_view>

#include "harness/fields.h"
#include "lib/base/status.h"

namespace distil::harness {

// Dates and times have no place in a recipe and are refused.
Status ParseToml(std::string_view text, const std::string& file, Json* out, Source* source);

// Applies "a.b.c=value". The value is TOML (3, 0.5, true, [1, 2], "text"); what is not TOML is taken as text.
// A part of the path that meets a list of tables chooses the one whose `name` it is: method.kd.options.T=2.
Status ApplySetting(const std::string& setting, Json* tree, Source* source);

}  // namespace distil::harness
