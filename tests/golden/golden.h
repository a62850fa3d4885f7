// Reads the golden JSON files of this folder (schemas: on top of each make_*.py).
//
//   Json file = Json::Load("models.json");                  tests run in the workspace's root, as under Bazel
//   double ce = file["nets"]["resnet8"]["train"]["ce"].number();
//   std::vector<double> z = file["nets"]["resnet8"]["eval"]["logits0"].numbers();
//   std::vector<float> x = InputOf(case_["inputs"]["z_s"]);  an input described by {dims, fill, offset,
//   scale}
//
// A missing key or a wrong type ends the test program with a message: the files are part of the test.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/golden/fill.h"

namespace distil::golden {

class Json {
 public:
  enum Type { kNull, kBool, kNumber, kString, kArray, kObject };

  static Json Parse(std::string text) {
    Reader r{text.c_str()};
    Json v = r.Value();
    r.Space();
    if (*r.p) Fail("text after the value", r.p);
    return v;
  }

  static Json Load(const std::string& name) {
    std::string path = "tests/golden/" + name, text;
    FILE* f = std::fopen(path.c_str(), "rb");
    if (!f) Fail("cannot open", path.c_str());
    char buffer[65536];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, f)) > 0;) text.append(buffer, n);
    std::fclose(f);
    return Parse(std::move(text));
  }

  Type type() const { return type_; }
  double number() const { return Is(kNumber), number_; }
  int64_t integer() const { return static_cast<int64_t>(number()); }
  bool boolean() const { return Is(kBool), number_ != 0; }
  const std::string& string() const& { return Is(kString), string_; }
  const std::vector<Json>& array() const& { return Is(kArray), array_; }
  const std::map<std::string, Json>& object() const& { return Is(kObject), object_; }

  bool has(const std::string& key) const { return type_ == kObject && object_.count(key) > 0; }
  const Json& operator[](const std::string& key) const& {
    auto i = object().find(key);
    if (i == object_.end()) Fail("no key", key.c_str());
    return i->second;
  }
  const Json& operator[](const char* key) const& { return (*this)[std::string(key)]; }
  const Json& operator[](int i) const& { return (*this)[static_cast<size_t>(i)]; }
  const Json& operator[](size_t i) const& {
    if (i >= array().size()) Fail("index out of range", "");
    return array_[i];
  }
  // A part of a temporary would dangle: keep the file in a variable.
  template <class Key>
  void operator[](Key) && = delete;
  size_t size() const { return type_ == kObject ? object_.size() : array().size(); }

  // An array of numbers, as T.
  template <class T = double>
  std::vector<T> numbers() const {
    std::vector<T> out;
    for (const Json& v : array()) out.push_back(static_cast<T>(v.number()));
    return out;
  }

 private:
  struct Reader {
    const char* p;

    void Space() { p += std::strspn(p, " \n\r\t"); }
    bool Take(char c) {
      Space();
      return *p == c && ++p;
    }
    void Need(char c) {
      if (!Take(c)) Fail("expected another character", p);
    }
    std::string String() {
      Need('"');
      const char* end = std::strchr(p, '"');  // the files have no escapes
      if (!end) Fail("string without end", p);
      std::string s(p, end);
      p = end + 1;
      return s;
    }
    Json Value() {
      Json v;
      if (Take('{')) {
        v.type_ = kObject;
        while (!Take('}')) {
          if (!v.object_.empty()) Need(',');
          Space();
          std::string key = String();
          Need(':');
          v.object_[key] = Value();
        }
      } else if (Take('[')) {
        v.type_ = kArray;
        while (!Take(']')) {
          if (!v.array_.empty()) Need(',');
          v.array_.push_back(Value());
        }
      } else if (*p == '"') {
        v.type_ = kString;
        v.string_ = String();
      } else if (!std::strncmp(p, "null", 4)) {
        p += 4;
      } else if (!std::strncmp(p, "true", 4) || !std::strncmp(p, "false", 5)) {
        v.type_ = kBool;
        v.number_ = *p == 't';
        p += *p == 't' ? 4 : 5;
      } else {
        char* end;
        v.type_ = kNumber;
        v.number_ = std::strtod(p, &end);
        if (end == p) Fail("expected a value", p);
        p = end;
      }
      return v;
    }
  };

  void Is(Type t) const {
    if (type_ != t) Fail("value of another type", string_.c_str());
  }
  [[noreturn]] static void Fail(const char* what, const char* where) {
    std::fprintf(stderr, "golden file: %s: %.60s\n", what, where);
    std::abort();
  }

  Type type_ = kNull;
  double number_ = 0;
  std::string string_;
  std::vector<Json> array_;
  std::map<std::string, Json> object_;
};

// The dims of a record that has them.
inline std::vector<int64_t> DimsOf(const Json& record) { return record["dims"].numbers<int64_t>(); }

// The contents of an input record {dims, fill, offset, scale}, or {dims, values} where the contents are
// written out.
inline std::vector<float> InputOf(const Json& record) {
  if (record.has("values")) return record["values"].numbers<float>();
  return FillTensor(record["fill"].string(), DimsOf(record), {record["offset"].number(), record["scale"].number()});
}

}  // namespace distil::golden
