// Measurements in processes of their own, so that peak memory belongs to one alone.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace distil::bench {

// Runs a program and gives the last line that it printed as JSON; a field "error" says what went wrong.
nlohmann::json Measure(const std::vector<std::string>& command);

}  // namespace distil::bench
