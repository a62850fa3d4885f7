// Which algorithm each convolution of a program uses, where a backend has several: by a word that describes the
// convolution, the algorithm's name. Results depend on it in their last bits, so a run that measures keeps what it
// chose, and a run that is to repeat it is given the same list.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace distil {

struct Algorithms {
  bool search = false;  // measure what is not listed; otherwise the backend's own rules hold for it
  std::map<std::string, std::string> chosen;

  // "convolution=algorithm;convolution=algorithm;...", in order.
  std::string Text() const;
  Status Parse(std::string_view text);  // of `chosen`
};

}  // namespace distil
