// SHA-256, as 64 lower-case hexadecimal digits: configurations, students and teachers are known by it.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace distil::harness {

std::string Sha256(std::string_view text);
Status Sha256File(const std::string& path, std::string* out);
bool IsSha256(std::string_view text);

}  // namespace distil::harness
