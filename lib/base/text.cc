#include "lib/base/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace distil {

std::string_view Trim(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = s.find_first_not_of(kSpace);
  if (begin == s.npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> Split(std::string_view s, char at) {
  std::vector<std::string_view> parts;
  for (size_t end; (end = s.find(at)) != s.npos; s.remove_prefix(end + 1)) parts.push_back(s.substr(0, end));
  parts.push_back(s);
  return parts;
}

std::string Join(std::span<const std::string> parts, std::string_view between) {
  std::string s;
  for (size_t i = 0; i < parts.size(); ++i) s.append(i ? between : "").append(parts[i]);
  return s;
}

namespace {

template <class T>
bool ParseAll(std::string_view s, T* out) {
  T v{};
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (s.empty() || error != std::errc() || end != s.data() + s.size()) return false;
  *out = v;
  return true;
}

}  // namespace

bool ParseNumber(std::string_view s, double* out) {
  double v;
  if (!ParseAll(s, &v) || !std::isfinite(v)) return false;
  *out = v;
  return true;
}
bool ParseInteger(std::string_view s, int64_t* out) { return ParseAll(s, out); }
bool ParseUnsigned(std::string_view s, uint64_t* out) { return ParseAll(s, out); }

std::string FormatNumber(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

int EditDistance(std::string_view a, std::string_view b) {
  // Rows of the usual table: before the last, last, this.
  std::vector<int> two(b.size() + 1), one(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) one[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({one[j] + 1, row[j - 1] + 1, one[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], two[j - 2] + 1);
    }
    two.swap(one);
    one.swap(row);
  }
  return one[b.size()];
}

std::string Nearest(std::string_view name, std::span<const std::string> names) {
  std::string best;
  int least = -1;
  for (const std::string& n : names) {
    const int d = EditDistance(name, n);
    if (least < 0 || d < least) least = d, best = n;
  }
  return best;
}

std::string NoSuch(std::string_view kind, std::string_view name, std::span<const std::string> names) {
  std::string s = "no " + std::string(kind) + " '" + std::string(name) + "'";
  if (!names.empty()) s += "; the nearest is '" + Nearest(name, names) + "'";
  return s;
}

}  // namespace distil
