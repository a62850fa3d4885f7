// Text: small helpers for options, names and messages. Independent of the locale.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace distil {

std::string_view Trim(std::string_view s);
// "a,b,,c" at ',' gives a, b, "" and c; "" gives one empty part.
std::vector<std::string_view> Split(std::string_view s, char at);
std::string Join(std::span<const std::string> parts, std::string_view between);

// The whole text as a finite number, or false.
bool ParseNumber(std::string_view s, double* out);
bool ParseInteger(std::string_view s, int64_t* out);
bool ParseUnsigned(std::string_view s, uint64_t* out);
// The shortest text that reads back as the same number.
std::string FormatNumber(double v);

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
int EditDistance(std::string_view a, std::string_view b);
// The name closest to `name`, for "did you mean"; the first of several, "" when there are none.
std::string Nearest(std::string_view name, std::span<const std::string> names);
// "no option 'epoch'; the nearest is 'epochs'"
std::string NoSuch(std::string_view kind, std::string_view name, std::span<const std::string> names);

}  // namespace distil
