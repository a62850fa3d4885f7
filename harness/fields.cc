#include "harness/fields.h"

#include <cmath>

#include "harness/text.h"

namespace distil::harness {
namespace {

const char* TypeName(const Json& json) {
  if (json.is_string()) return "text";
  if (json.is_boolean()) return "true or false";
  if (json.is_number_integer()) return "a whole number";
  if (json.is_number()) return "a number";
  if (json.is_array()) return "a list";
  if (json.is_object()) return "a table";
  return "nothing";
}

// Whole numbers may be written as 3 or, by a careful generator, as 3.0.
bool WholeNumber(const Json& json, int64_t* out) {
  if (json.is_number_unsigned()) {
    uint64_t value = json.get<uint64_t>();
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return false;
    *out = static_cast<int64_t>(value);
    return true;
  }
  if (json.is_number_integer()) return *out = json.get<int64_t>(), true;
  return false;
}

std::string Number(double value) {
  return std::isfinite(value) ? Json(value).dump() : Fixed(value, 0);  // JSON has no word for nan and inf
}

// The parser's own report, without its internal numbering: "line 3, column 7: syntax error ...".
struct ErrorKeeper : nlohmann::json_sax<Json> {
  std::string message;
  std::vector<std::set<std::string>> open;
  std::string duplicate;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return open.size() < 64 ? (open.emplace_back(), true) : TooDeep(); }
  bool key(string_t& name) override {
    if (!open.back().insert(name).second) return duplicate = name, message = "the key is given twice", false;
    return true;
  }
  bool end_object() override { return open.pop_back(), true; }
  bool start_array(size_t) override { return open.size() < 64 ? (open.emplace_back(), true) : TooDeep(); }
  bool end_array() override { return open.pop_back(), true; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    message = error.what();
    if (size_t at = message.find("at line "); at != std::string::npos) message = message.substr(at);
    return false;
  }
  bool TooDeep() {
    message = "it is nested more than 64 levels deep";
    return false;
  }
};

}  // namespace

const std::string& Source::Place(const std::string& path) const {
  std::string prefix = path;
  while (true) {
    if (auto it = places.find(prefix); it != places.end()) return it->second;
    size_t dot = prefix.find_last_of(".[");
    if (dot == std::string::npos) return file;
    prefix.resize(dot);
  }
}

Status ParseJson(std::string_view text, const std::string& file, Json* out) {
  ErrorKeeper keeper;
  if (!Json::sax_parse(text, &keeper)) {
    if (!keeper.duplicate.empty()) return Corrupt(file + ": the key '" + keeper.duplicate + "' is given twice");
    return Corrupt(file + ": not valid JSON, " + keeper.message);
  }
  *out = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (out->is_discarded()) return Corrupt(file + ": not valid JSON");
  return {};
}

std::string Canonical(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string Pretty(const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

FieldReader::FieldReader(const Json& object, std::string path, const Source& source, Status* status)
    : object_(object), path_(std::move(path)), source_(source), status_(status) {
  if (ok() && !object_.is_object()) {
    *status_ = Corrupt(source_.Place(path_) + ": " + (path_.empty() ? "the file" : "'" + path_ + "'") +
                       " must be a table of fields, not " + TypeName(object_));
  }
}

std::string FieldReader::Path(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

void FieldReader::Fail(const std::string& key, const std::string& what) {
  if (!ok()) return;
  std::string path = key.empty() ? path_ : Path(key);
  *status_ = Corrupt(source_.Place(path) + ": '" + path + "' " + what);
}

bool FieldReader::Has(const char* key) const {
  return object_.is_object() && object_.contains(key) && !object_.at(key).is_null();
}

const Json* FieldReader::Find(const char* key, bool required) {
  known_.insert(key);
  if (!ok()) return nullptr;
  if (!Has(key)) {
    if (required) Fail(key, "is missing");
    return nullptr;
  }
  return &object_.at(key);
}

void FieldReader::Read(const char* key, std::string* out) {
  const Json* json = Find(key, true);
  if (!json) return;
  if (!json->is_string()) return Fail(key, std::string("must be text, not ") + TypeName(*json));
  *out = json->get_ref<const std::string&>();
}

void FieldReader::Read(const char* key, bool* out) {
  const Json* json = Find(key, true);
  if (!json) return;
  if (!json->is_boolean()) return Fail(key, std::string("must be true or false, not ") + TypeName(*json));
  *out = json->get<bool>();
}

void FieldReader::Read(const char* key, int64_t* out, int64_t low, int64_t high) {
  const Json* json = Find(key, true);
  if (!json) return;
  int64_t value = 0;
  if (!WholeNumber(*json, &value)) return Fail(key, std::string("must be a whole number, not ") + TypeName(*json));
  if (value < low || value > high) {
    return Fail(key, "is " + std::to_string(value) + ", but must be " +
                         (high == std::numeric_limits<int64_t>::max()
                              ? "at least " + std::to_string(low)
                              : "from " + std::to_string(low) + " to " + std::to_string(high)));
  }
  *out = value;
}

void FieldReader::Read(const char* key, double* out, double low, double high) {
  const Json* json = Find(key, true);
  if (!json) return;
  if (!json->is_number()) return Fail(key, std::string("must be a number, not ") + TypeName(*json));
  double value = json->get<double>();
  if (!std::isfinite(value) || value < low || value > high) {
    std::string range = high < 1e300   ? "from " + Number(low) + " to " + Number(high)
                        : low > -1e300 ? "at least " + Number(low)
                                       : "finite";
    return Fail(key, "is " + Number(value) + ", but must be " + range);
  }
  *out = value;
}

void FieldReader::Read(const char* key, std::vector<std::string>* out) {
  const Json* json = Array(key, true);
  if (!json) return;
  out->clear();
  for (const Json& item : *json) {
    if (!item.is_string()) return Fail(key, std::string("must hold text only, not ") + TypeName(item));
    out->push_back(item.get<std::string>());
  }
}

void FieldReader::Read(const char* key, std::vector<int64_t>* out, int64_t low, int64_t high) {
  const Json* json = Array(key, true);
  if (!json) return;
  out->clear();
  for (const Json& item : *json) {
    int64_t value = 0;
    if (!WholeNumber(item, &value)) return Fail(key, "must hold whole numbers only");
    if (value < low || value > high)
      return Fail(key, "holds " + std::to_string(value) + ", but its values must be from " + std::to_string(low) +
                           " to " + std::to_string(high));
    out->push_back(value);
  }
}

void FieldReader::ReadChoice(const char* key, const std::vector<std::string>& names, int* out) {
  std::string name;
  Read(key, &name);
  if (!ok()) return;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) {
      *out = static_cast<int>(i);
      return;
    }
  }
  Fail(key, "is '" + name + "', but must be one of " + Join(names, ", "));
}

void FieldReader::ReadText(const char* key, std::string* out) {
  const Json* json = Find(key, true);
  if (!json) return;
  if (json->is_string())
    *out = json->get<std::string>();
  else if (json->is_boolean() || json->is_number())
    *out = json->dump();
  else
    Fail(key, std::string("must be a single value, not ") + TypeName(*json));
}

void FieldReader::ReadTextMap(const char* key, std::map<std::string, std::string>* out) {
  const Json* json = Object(key, true);
  if (!json) return;
  FieldReader reader(*json, Path(key), source_, status_);
  for (auto it = json->begin(); it != json->end(); ++it) reader.ReadText(it.key().c_str(), &(*out)[it.key()]);
}

const Json* FieldReader::Object(const char* key, bool required) {
  const Json* json = Find(key, required);
  if (json && !json->is_object()) {
    Fail(key, std::string("must be a table of fields, not ") + TypeName(*json));
    return nullptr;
  }
  return json;
}

const Json* FieldReader::Array(const char* key, bool required) {
  const Json* json = Find(key, required);
  if (json && !json->is_array()) {
    Fail(key, std::string("must be a list, not ") + TypeName(*json));
    return nullptr;
  }
  return json;
}

void FieldReader::Finish() {
  if (!ok()) return;
  for (auto it = object_.begin(); it != object_.end(); ++it) {
    if (known_.count(it.key())) continue;
    Fail(it.key(), "is unknown" + DidYouMean(it.key(), {known_.begin(), known_.end()}));
    return;
  }
}

}  // namespace distil::harness
