// safetensors: u64 little-endian length of the header; the header, JSON {name: {"dtype", "shape", "data_offsets":
// [begin, end)}, "__metadata__": {text: text}}; the data, which offsets cover without hole or overlap.
// https://huggingface.co/docs/safetensors
//
// Files are treated as hostile: every number is checked before it is used, and a message says what is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace distil {

inline constexpr size_t kMaxSafetensorsHeader = 100'000'000;

struct TensorView {
  std::string name;
  std::string dtype;  // "F32"
  std::vector<int64_t> shape;
  std::span<const uint8_t> data;

  int64_t elements() const;
  std::string ShapeText() const;  // "[16,3,3,3]"
};

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::vector<TensorView> tensors;  // in the order of the data; views into the parsed bytes
  std::string_view header;          // as in the file
  std::span<const uint8_t> data;

  const TensorView* Find(std::string_view name) const;
  std::map<std::string, size_t, std::less<>> by_name;
};

Status ParseSafetensors(const uint8_t* bytes, size_t count, Safetensors* out);

// The numbers as doubles: F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL.
Status ReadNumbers(const TensorView& t, std::span<double> out);
// The same as floats; F32 keeps its bits.
Status ReadNumbers(const TensorView& t, std::span<float> out);

struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> data;
};

// Length, header and padding of a file with these tensors in this order, without the data that follows. Metadata come
// first, so that the header's beginning can be changed in place when only their values do.
std::vector<uint8_t> SafetensorsHeader(const std::vector<std::pair<std::string, std::string>>& metadata,
                                       const std::vector<TensorToWrite>& tensors);
// Writes to `path`, which never holds half a file.
Status WriteSafetensors(const std::string& path, std::span<const uint8_t> header,
                        const std::vector<TensorToWrite>& tensors);

}  // namespace distil
