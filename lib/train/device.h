// Device: a backend with what belongs to it, shared by the networks, trainers and inferences made on it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lib/backend/backend.h"

namespace distil {

struct Device {
  std::string name;
  std::unique_ptr<Backend> backend;
  enum Level { kInfo = 0, kWarning = 1 };
  std::function<void(Level, const std::string&)> log;  // may be empty

  void Log(Level level, const std::string& message) const {
    if (log) log(level, message);
  }
};

}  // namespace distil
