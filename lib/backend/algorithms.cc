#include "lib/backend/algorithms.h"

#include "lib/base/text.h"

namespace distil {

std::string Algorithms::Text() const {
  std::string text;
  for (const auto& [what, how] : chosen) text += (text.empty() ? "" : ";") + what + "=" + how;
  return text;
}

Status Algorithms::Parse(std::string_view text) {
  chosen.clear();
  if (text.empty()) return {};
  for (const std::string_view entry : Split(text, ';')) {
    const size_t equals = entry.find('=');
    if (equals == entry.npos || equals == 0 || equals + 1 == entry.size())
      return InvalidArgument("'" + std::string(entry) + "' is not convolution=algorithm");
    if (!chosen.emplace(entry.substr(0, equals), entry.substr(equals + 1)).second)
      return InvalidArgument("'" + std::string(entry.substr(0, equals)) + "' is listed twice");
  }
  return {};
}

}  // namespace distil
