#include "harness/toml.h"

#include <algorithm>
#include <string>

// toml++ 3.3 asserts what a file can break ("[ =x]" does), and lets the compiler assume it under NDEBUG. Here it is an error.
#undef NDEBUG
namespace {
struct ParserAssertion {};
}  // namespace
#define TOML_ASSERT(condition)                 \
  do {                                         \
    if (!(condition)) throw ParserAssertion(); \
  } while (false)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#pragma GCC diagnostic push  // its accessors are noexcept; what they assert does not depend on the file
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wexceptions"
#else
#pragma GCC diagnostic ignored "-Wterminate"
#endif
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include "harness/text.h"

namespace distil::harness {
namespace {

std::string At(const std::string& file, const toml::source_region& region) {
  return file + ":" + std::to_string(region.begin.line);
}

Status Convert(const toml::node& node, const std::string& path, const std::string& file, Json* out, Source* source) {
  if (!path.empty() && node.source().begin) source->places[path] = At(file, node.source());
  if (const toml::table* table = node.as_table()) {
    *out = Json::object();
    for (auto&& [key, value] : *table) {
      std::string child = path.empty() ? std::string(key.str()) : path + "." + std::string(key.str());
      DISTIL_RETURN_IF_ERROR(Convert(value, child, file, &(*out)[std::string(key.str())], source));
      // A value's own region begins behind the '='; errors point at the line of the key.
      if (key.source().begin) source->places[child] = At(file, key.source());
    }
    return {};
  }
  if (const toml::array* array = node.as_array()) {
    *out = Json::array();
    size_t i = 0;
    for (auto&& value : *array) {
      out->push_back(nullptr);
      DISTIL_RETURN_IF_ERROR(Convert(value, path + "[" + std::to_string(i++) + "]", file, &out->back(), source));
    }
    return {};
  }
  if (const auto* text = node.as_string())
    *out = text->get();
  else if (const auto* number = node.as_integer())
    *out = number->get();
  else if (const auto* real = node.as_floating_point())
    *out = real->get();
  else if (const auto* truth = node.as_boolean())
    *out = truth->get();
  else
    return Corrupt(source->Place(path) + ": '" + path + "' is a date or time, which no field here is");
  return {};
}

// The first byte outside comments that is not ASCII, or npos. Where a letter beyond ASCII stands in the wrong place, toml++ 3.3
// reaches code that it promised the compiler never to reach; strings can say \\u00e9.
size_t FindStrayByte(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
    } else if (c == '"' || c == '\'') {  // a '#' in a string begins no comment
      const bool lines = text.substr(i, 3) == std::string(3, c);
      const std::string_view quote = text.substr(i, lines ? 3 : 1);
      for (i += quote.size(); i < text.size() && text.substr(i, quote.size()) != quote; ++i) {
        if (static_cast<unsigned char>(text[i]) >= 0x80) return i;
        if (!lines && text[i] == '\n') break;
        if (c == '"' && text[i] == '\\' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0x80) ++i;
      }
      i += quote.size() - 1;
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Status ParseToml(std::string_view text, const std::string& file, Json* out, Source* source) {
  source->file = file;
  if (text.size() > (1u << 20)) return Corrupt(file + ": a recipe may have 1 MiB, this file has more");
  if (text.find('\0') != std::string_view::npos) return Corrupt(file + ": not a text file");
  if (const size_t at = FindStrayByte(text); at != std::string_view::npos)
    return Corrupt(file + ":" +
                   std::to_string(1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n')) +
                   ": only comments may hold letters beyond ASCII; text can say \\u00e9");
  toml::parse_result result;
  try {
    result = toml::parse(text, file);
  } catch (const ParserAssertion&) {
    return Corrupt(file + ": a key is malformed");
  }
  if (!result) {
    const toml::parse_error& error = result.error();
    std::string what(error.description());
    for (char& c : what)
      if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    return Corrupt(At(file, error.source()) + ": not valid TOML: " + what);
  }
  return Convert(result.table(), "", file, out, source);
}

Status ApplySetting(const std::string& setting, Json* tree, Source* source) {
  size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    return InvalidArgument("--set " + setting + ": expected KEY=VALUE, for example train.lr=0.1");
  const std::string key = Trim(setting.substr(0, equals)), value = Trim(setting.substr(equals + 1));
  Json parsed, wrapper;
  Source unused;
  if (ParseToml("x = " + value, "", &wrapper, &unused).ok() && wrapper.size() == 1)
    parsed = wrapper["x"];
  else
    parsed = value;
  Json* at = tree;
  std::string path;
  std::vector<std::string> parts = Split(key, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part.empty()) return InvalidArgument("--set " + setting + ": the key has an empty part");
    if (at->is_array()) {
      size_t found = at->size();
      std::vector<std::string> names;
      for (size_t k = 0; k < at->size(); ++k) {
        const Json& item = (*at)[k];
        if (!item.is_object() || !item.contains("name") || !item["name"].is_string()) continue;
        names.push_back(item["name"].get<std::string>());
        if (names.back() == part) found = k;
      }
      if (found == at->size())
        return InvalidArgument("--set " + setting + ": there is no '" + part + "' in '" + path + "'" +
                               DidYouMean(part, names));
      path += "[" + std::to_string(found) + "]";
      at = &(*at)[found];
    } else {
      if (at->is_null()) *at = Json::object();
      if (!at->is_object())
        return InvalidArgument("--set " + setting + ": '" + path + "' is a single value and has no fields");
      path += (path.empty() ? "" : ".") + part;
      at = &(*at)[part];
    }
  }
  *at = parsed;
  source->places[path] = "--set " + setting;
  return {};
}

}  // namespace distil::harness
