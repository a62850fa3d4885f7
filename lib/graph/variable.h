// Variable: a named tensor that lives across steps (parameter, buffer or state), with its storage.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/graph/graph.h"

namespace distil {

// Memory that a device gave. Frees itself.
struct Buffer {
  void* data = nullptr;
  size_t bytes = 0;
  std::function<void(void*, size_t)> release;
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& o) noexcept { *this = std::move(o); }
  Buffer& operator=(Buffer&& o) noexcept {
    std::swap(data, o.data);
    std::swap(bytes, o.bytes);
    std::swap(release, o.release);
    return *this;
  }
  ~Buffer() {
    if (data && release) release(data, bytes);
  }
};

enum class VariableKind : uint8_t {
  kParameter,  // trained, saved with the network
  kBuffer,     // saved with the network, not trained: running statistics
  kState,      // belongs to training: momentum, memory banks
};

// First value of a variable. Uniform and normal numbers come from Philox keyed by (seed, name, element).
struct Init {
  enum Kind : uint8_t { kConstant, kUniform, kNormal } kind = kConstant;
  double a = 0;  // the constant; the bound (values in [-a, a]); the standard deviation
  static Init Constant(double v) { return {kConstant, v}; }
  static Init Uniform(double bound) { return {kUniform, bound}; }
  static Init Normal(double std) { return {kNormal, std}; }
};

class Variable {
 public:
  std::string name;  // full name inside its set, as PyTorch writes it: "layer1.0.conv1.weight"
  Shape shape;
  VariableKind kind = VariableKind::kParameter;
  bool integer = false;  // saved as I64 (num_batches_tracked); kept as a real number in memory
  Buffer storage;        // f32, or f64 on a device that computes in f64; row-major
  uint64_t version = 0;  // grows at every change, so that programs can refresh what they derived from it
};

}  // namespace distil
