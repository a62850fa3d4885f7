// Options of methods: what a method file declares, and what it reads once the text has been checked.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace distil {

struct OptionSpec {
  const char* name;
  const char* fallback;          // the default, as text
  const char* help;              // meaning, and where the default comes from
  const char* values = nullptr;  // "a|b|c": one of these. "(0,inf)", "whole [1,inf)": a number in this range
};

// Options of a method after parsing (losses/combine.h): every name of its spec has a valid value. Cross-entropy is a
// term of every run, so "ce.weight" and "ce.smoothing" are there too, for methods that place it themselves.
class MethodOptions {
 public:
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  std::map<std::string, std::string, std::less<>> values;
};

// Whether `value` is one of those that `spec` admits; the message calls the option `name`.
Status CheckOption(const OptionSpec& spec, const std::string& name, const std::string& value);

}  // namespace distil
