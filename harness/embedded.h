// Text files that travel inside the binary, so that `bazel run //harness` works from any folder: the recipes
// and the papers' numbers. //harness:embed.bzl generates the tables from the files.
#pragma once

#include <string_view>
#include <vector>

namespace distil::harness {

struct EmbeddedFile {
  std::string_view path;  // relative, as in "harness/recipes/dskd/table1.toml"
  std::string_view text;
};

const std::vector<EmbeddedFile>& EmbeddedRecipes();
const std::vector<EmbeddedFile>& EmbeddedBaselines();

}  // namespace distil::harness
