// Strict reading of structured text. Records (JSON) and recipes (TOML) both become a Json tree; FieldReader
// takes one object apart, knows which keys it was asked for, and keeps the first mistake as one sentence that
// names the file, the line where there is one, and the field. Unknown keys are mistakes and name the nearest
// known one.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace distil::harness {

using Json = nlohmann::json;

// Where a tree came from: its file, and for some field paths ("schedule.lr") where exactly.
struct Source {
  std::string file;
  std::map<std::string, std::string> places;  // path -> "recipes/x.toml:12" or "--set schedule.lr=1"
  // "file:line" of the path, or of the nearest parent that has one, or the file.
  const std::string& Place(const std::string& path) const;
};

Status ParseJson(std::string_view text, const std::string& file, Json* out);
// One line, keys sorted, numbers in their shortest exact form: equal trees give equal text.
std::string Canonical(const Json& json);
std::string Pretty(const Json& json);

class FieldReader {
 public:
  // Reads `object`, found at `path` ("" for the root). `status` outlives the reader and keeps the first
  // mistake.
  FieldReader(const Json& object, std::string path, const Source& source, Status* status);

  bool Has(const char* key) const;
  // Required fields; a missing one, another type or a value out of range is a mistake.
  void Read(const char* key, std::string* out);
  void Read(const char* key, bool* out);
  void Read(const char* key, int64_t* out, int64_t low = 0, int64_t high = std::numeric_limits<int64_t>::max());
  void Read(const char* key, double* out, double low = -1e300, double high = 1e300);
  void Read(const char* key, std::vector<std::string>* out);
  void Read(const char* key, std::vector<int64_t>* out, int64_t low, int64_t high);
  // One of `names`; *out is the index.
  void ReadChoice(const char* key, const std::vector<std::string>& names, int* out);
  // A scalar of any kind as text ("0.5", "true", "mean"), for options that are handed on.
  void ReadText(const char* key, std::string* out);
  void ReadTextMap(const char* key, std::map<std::string, std::string>* out);
  // As above, but an absent key leaves *out alone.
  template <typename T, typename... Range>
  void Optional(const char* key, T* out, Range... range) {
    if (Has(key))
      Read(key, out, range...);
    else
      known_.insert(key);
  }
  // The object or array under `key`; null after a mistake, and for an absent optional one.
  const Json* Object(const char* key, bool required);
  const Json* Array(const char* key, bool required);

  std::string Path(const std::string& key) const;
  void Fail(const std::string& key, const std::string& what);  // "PLACE: 'path' what"
  void Finish();                                               // reports keys that nobody asked for
  bool ok() const { return status_->ok(); }

 private:
  const Json* Find(const char* key, bool required);

  const Json& object_;
  std::string path_;
  const Source& source_;
  Status* status_;
  std::set<std::string> known_;
};

}  // namespace distil::harness
