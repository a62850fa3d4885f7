// A small strict JSON reader for headers of files that may be hostile: UTF-8 is checked, depth is limited, keys are
// unique, and nothing may follow the value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace distil {

struct JsonMember;

struct Json {
  enum Type : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject } type = kNull;
  std::string text;                 // kString: its value. kNumber: as written. kBool: "true", "false"
  std::vector<Json> items;          // kArray
  std::vector<JsonMember> members;  // kObject, in the order of the file

  const Json* Find(std::string_view key) const;
};

struct JsonMember {
  std::string name;
  Json value;
};

// On failure the message says where: "byte 17: expected ':'".
Status ParseJson(std::string_view text, Json* out);

// Appends `s` as a JSON string with its quotes.
void AppendJsonString(std::string_view s, std::string* out);

bool IsUtf8(std::string_view s);

}  // namespace distil
