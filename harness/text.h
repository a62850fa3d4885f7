// Small text helpers that every part of the harness shares: numbers as people read them, escaping for each
// output format, and "did you mean" for misspelt names. Nothing here depends on the locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distil::harness {

std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string Trim(std::string_view text);

// The candidate with the smallest edit distance to `name`, or "" when none is near enough to be a slip.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates);
// "; did you mean 'x'?" or, when nothing is near, "; known are a, b, c" ("" for no candidates).
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

// Columns that a terminal gives a text, for the letters that are used here: one for each code point.
size_t Columns(std::string_view text);
std::string Padded(const std::string& text, size_t width);  // with spaces after it
std::string Count(uint64_t n, const std::string& what);     // 1 run, 2 runs, 50,000 runs

std::string Fixed(double value, int digits);   // 72.31
std::string Signed(double value, int digits);  // +0.12 or −0.34 (with a real minus sign)
std::string Bytes(uint64_t bytes);             // 1.4 GiB
std::string Duration(double seconds);          // 48 s, 3 min 20 s, 2 h 05 min
std::string Grouped(uint64_t value);           // 50,000

std::string EscapeHtml(std::string_view text);
std::string EscapeMarkdown(std::string_view text);  // for one table cell
std::string EscapeCsv(std::string_view text);

// A name that is safe as one folder: letters, digits, '-', '_', '.', '+'; anything else becomes '_'.
std::string FolderName(std::string_view text);

}  // namespace distil::harness
