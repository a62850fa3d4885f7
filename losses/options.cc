#include "losses/options.h"

#include <cmath>
#include <cstdlib>

#include "lib/base/text.h"

namespace distil {
double MethodOptions::number(std::string_view name) const { return std::strtod(text(name).c_str(), nullptr); }

const std::string& MethodOptions::text(std::string_view name) const {
  static const std::string none;
  auto it = values.find(name);
  return it == values.end() ? none : it->second;
}

Status CheckOption(const OptionSpec& spec, const std::string& name, const std::string& value) {
  const std::string given = "option " + name + " = '" + value + "': ";
  std::string_view rule = spec.values ? spec.values : "(-inf,inf)";
  if (rule.find('|') != rule.npos) {
    std::string choices;
    for (std::string_view choice : Split(rule, '|')) {
      if (choice == value) return {};
      choices += (choices.empty() ? "" : ", ") + std::string(choice);
    }
    return InvalidArgument(given + "must be one of " + choices);
  }
  double v;
  if (!ParseNumber(value, &v)) return InvalidArgument(given + "must be a number");
  const bool whole = rule.starts_with("whole ");
  if (whole) rule.remove_prefix(6);
  // From 2^53 on not every whole number is a double, and some fit no integer.
  if (whole && (v != std::floor(v) || std::abs(v) >= 0x1p53)) return InvalidArgument(given + "must be a whole number");
  const double low = std::strtod(rule.data() + 1, nullptr);
  const double high = std::strtod(rule.data() + rule.find(',') + 1, nullptr);
  const bool above = rule.front() == '[' ? v >= low : v > low;
  const bool below = rule.back() == ']' ? v <= high : v < high;
  if (!above || !below) return InvalidArgument(given + "must lie in " + std::string(rule));
  return {};
}

}  // namespace distil
