#include "lib/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "lib/base/text.h"
#include "lib/io/file.h"
#include "lib/io/json.h"

namespace distil {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and read in place");

struct Type {
  const char* name;
  size_t bytes;
};
constexpr Type kTypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I16", 2},
                           {"I8", 1},  {"U8", 1},  {"U16", 2}, {"U32", 4},  {"U64", 8}, {"BOOL", 1}};

size_t TypeBytes(std::string_view name) {
  for (const Type& t : kTypes)
    if (name == t.name) return t.bytes;
  return 0;
}

// Integers as JSON writes them: no fraction, no exponent, not negative, below 2^63.
bool Integer(const Json& v, uint64_t* out) {
  return v.type == Json::kNumber && ParseUnsigned(v.text, out) && *out <= static_cast<uint64_t>(INT64_MAX);
}

Status ParseTensor(const Json& v, std::span<const uint8_t> data, TensorView* t) {
  auto bad = [&](const std::string& why) { return Corrupt("tensor '" + t->name + "': " + why); };
  if (v.type != Json::kObject) return bad("its entry is not an object");
  for (const auto& [key, value] : v.members)
    if (key != "dtype" && key != "shape" && key != "data_offsets") return bad("unknown field '" + key + "'");
  const Json* dtype = v.Find("dtype");
  const Json* shape = v.Find("shape");
  const Json* offsets = v.Find("data_offsets");
  if (!dtype || dtype->type != Json::kString) return bad("no dtype");
  t->dtype = dtype->text;
  const size_t size = TypeBytes(t->dtype);
  if (size == 0) return bad("unknown dtype '" + t->dtype + "'");
  if (!shape || shape->type != Json::kArray) return bad("no shape");
  uint64_t bytes = size;
  for (const Json& item : shape->items) {
    uint64_t d;
    if (!Integer(item, &d)) return bad("an extent of its shape is not an integer from 0 on");
    if (__builtin_mul_overflow(bytes, d, &bytes)) return bad("its size overflows");
    t->shape.push_back(static_cast<int64_t>(d));
  }
  if (!offsets || offsets->type != Json::kArray || offsets->items.size() != 2) return bad("no pair of data_offsets");
  uint64_t begin, end;
  if (!Integer(offsets->items[0], &begin) || !Integer(offsets->items[1], &end))
    return bad("its data_offsets are not integers from 0 on");
  if (begin > end) return bad("its data begin after their end");
  if (end > data.size())
    return bad("its data end at byte " + std::to_string(end) + ", the file's at " + std::to_string(data.size()));
  if (end - begin != bytes)
    return bad("its shape needs " + std::to_string(bytes) + " bytes, its data_offsets give " +
               std::to_string(end - begin));
  t->data = data.subspan(begin, bytes);
  return {};
}

float FromHalf(uint16_t h) {
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  float v = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
            : exponent == 31 ? (mantissa ? NAN : INFINITY)
                             : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return h & 0x8000 ? -v : v;
}

template <class Stored, class Out, class Convert>
void Copy(std::span<const uint8_t> data, std::span<Out> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    Stored v;
    std::memcpy(&v, data.data() + i * sizeof v, sizeof v);
    out[i] = static_cast<Out>(convert(v));
  }
}

template <class Out>
Status Read(const TensorView& t, std::span<Out> out) {
  auto same = [](auto v) { return v; };
  const std::string& d = t.dtype;
  if (static_cast<uint64_t>(t.elements()) != out.size()) return Internal("tensor '" + t.name + "': wrong count");
  if (d == "F32")
    Copy<float>(t.data, out, same);
  else if (d == "F64")
    Copy<double>(t.data, out, same);
  else if (d == "F16")
    Copy<uint16_t>(t.data, out, FromHalf);
  else if (d == "BF16")
    Copy<uint16_t>(t.data, out, [](uint32_t v) { return std::bit_cast<float>(v << 16); });
  else if (d == "I64")
    Copy<int64_t>(t.data, out, same);
  else if (d == "I32")
    Copy<int32_t>(t.data, out, same);
  else if (d == "I16")
    Copy<int16_t>(t.data, out, same);
  else if (d == "I8")
    Copy<int8_t>(t.data, out, same);
  else if (d == "U8" || d == "BOOL")
    Copy<uint8_t>(t.data, out, same);
  else
    return Unsupported("tensor '" + t.name + "': numbers of type " + d + " are not read");
  return {};
}

void Append(const void* data, size_t bytes, std::vector<uint8_t>* out) {
  const auto* p = static_cast<const uint8_t*>(data);
  out->insert(out->end(), p, p + bytes);
}

}  // namespace

int64_t TensorView::elements() const {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;  // ParseSafetensors has checked that it fits
  return n;
}

std::string TensorView::ShapeText() const {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? "," : "") + std::to_string(shape[i]);
  return s + "]";
}

const TensorView* Safetensors::Find(std::string_view name) const {
  auto it = by_name.find(name);
  return it == by_name.end() ? nullptr : &tensors[it->second];
}

Status ParseSafetensors(const uint8_t* bytes, size_t count, Safetensors* out) {
  *out = Safetensors();
  if (count < 8) return Corrupt("it has " + std::to_string(count) + " bytes, too few for a safetensors file");
  uint64_t length;
  std::memcpy(&length, bytes, 8);
  if (length > kMaxSafetensorsHeader)
    return Corrupt("its header would have " + std::to_string(length) + " bytes, more than the 100 MB that are allowed");
  if (length > count - 8) return Corrupt("its header of " + std::to_string(length) + " bytes is longer than the file");
  out->header = {reinterpret_cast<const char*>(bytes) + 8, static_cast<size_t>(length)};
  out->data = {bytes + 8 + length, count - 8 - static_cast<size_t>(length)};

  Json header;
  if (Status s = ParseJson(out->header, &header); !s.ok()) return Corrupt("its header is not JSON, " + s.message());
  if (header.type != Json::kObject) return Corrupt("its header is not an object");
  for (const auto& [name, value] : header.members) {
    if (name == "__metadata__") {
      if (value.type != Json::kObject) return Corrupt("its metadata are not an object");
      for (const auto& [key, text] : value.members) {
        if (text.type != Json::kString) return Corrupt("its metadata '" + key + "' are not text");
        out->metadata[key] = text.text;
      }
      continue;
    }
    TensorView t;
    t.name = name;
    DISTIL_RETURN_IF_ERROR(ParseTensor(value, out->data, &t));
    out->tensors.push_back(std::move(t));
  }
  // Without holes and overlaps: in the order of their data, each begins where the one before ends.
  std::stable_sort(out->tensors.begin(), out->tensors.end(), [](const TensorView& a, const TensorView& b) {
    return a.data.data() != b.data.data() ? a.data.data() < b.data.data() : a.data.size() < b.data.size();
  });
  const uint8_t* at = out->data.data();
  for (const TensorView& t : out->tensors) {
    if (t.data.data() != at)
      return Corrupt("tensor '" + t.name + "': its data " + (t.data.data() < at ? "overlap" : "leave a hole after") +
                     " another tensor's");
    at += t.data.size();
  }
  if (at != out->data.data() + out->data.size())
    return Corrupt("it has " + std::to_string(out->data.data() + out->data.size() - at) +
                   " bytes that belong to no tensor at its end");
  for (size_t i = 0; i < out->tensors.size(); ++i) out->by_name[out->tensors[i].name] = i;
  return {};
}

Status ReadNumbers(const TensorView& t, std::span<double> out) { return Read(t, out); }
Status ReadNumbers(const TensorView& t, std::span<float> out) { return Read(t, out); }

std::vector<uint8_t> SafetensorsHeader(const std::vector<std::pair<std::string, std::string>>& metadata,
                                       const std::vector<TensorToWrite>& tensors) {
  std::string h = "{\"__metadata__\":{";
  for (size_t i = 0; i < metadata.size(); ++i) {
    if (i) h += ',';
    AppendJsonString(metadata[i].first, &h);
    h += ':';
    AppendJsonString(metadata[i].second, &h);
  }
  h += '}';
  size_t at = 0;
  for (const TensorToWrite& t : tensors) {
    h += ',';
    AppendJsonString(t.name, &h);
    h += ":{\"dtype\":\"" + t.dtype + "\",\"shape\":[";
    for (size_t i = 0; i < t.shape.size(); ++i) h += (i ? "," : "") + std::to_string(t.shape[i]);
    h += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + t.data.size()) + "]}";
    at += t.data.size();
  }
  h += '}';
  h.append((8 - h.size() % 8) % 8, ' ');
  std::vector<uint8_t> out;
  const uint64_t length = h.size();
  Append(&length, sizeof length, &out);
  Append(h.data(), h.size(), &out);
  return out;
}

Status WriteSafetensors(const std::string& path, std::span<const uint8_t> header,
                        const std::vector<TensorToWrite>& tensors) {
  AtomicFile file;
  DISTIL_RETURN_IF_ERROR(file.Open(path));
  DISTIL_RETURN_IF_ERROR(file.Write(header.data(), header.size()));
  for (const TensorToWrite& t : tensors) DISTIL_RETURN_IF_ERROR(file.Write(t.data.data(), t.data.size()));
  return file.Commit();
}

}  // namespace distil
