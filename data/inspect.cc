// Inspect: read, and print as text or JSON.
#include "data/inspect.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

namespace distil::data {
namespace {

std::string Number(double v) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5f", v);
  return text;
}

std::string Exact(double v) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", v);
  return text;
}

// Length of the UTF-8 character at `i`, 0 when the bytes there are none.
size_t Utf8Length(const std::string& text, size_t i) {
  const auto lead = static_cast<unsigned char>(text[i]);
  const size_t n = lead < 0x80                   ? 1
                   : lead >= 0xc2 && lead < 0xe0 ? 2
                   : lead >= 0xe0 && lead < 0xf0 ? 3
                   : lead >= 0xf0 && lead < 0xf5 ? 4
                                                 : 0;
  for (size_t k = 1; k < n; ++k) {
    if (i + k >= text.size() || (static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return 0;
  }
  return n;
}

std::string Quote(const std::string& text) {
  std::string out = "\"";
  for (size_t i = 0, n; i < text.size(); i += n) {
    n = std::max<size_t>(1, Utf8Length(text, i));
    const char c = text[i];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
      out += escaped;
    } else if (Utf8Length(text, i) == 0) {
      out += '?';
    } else {
      out += text.substr(i, n);
    }
  }
  return out + "\"";
}

template <typename Values, typename Format>
std::string List(const Values& values, const char* separator, Format format) {
  std::string text;
  for (const auto& v : values) text += (text.empty() ? "" : separator) + format(v);
  return text;
}

std::string Size(uint64_t bytes) {
  char text[32];
  if (bytes >= (10ull << 20)) {
    std::snprintf(text, sizeof(text), "%.0f MiB", static_cast<double>(bytes) / (1 << 20));
  } else {
    std::snprintf(text, sizeof(text), "%.1f KiB", static_cast<double>(bytes) / (1 << 10));
  }
  return text;
}

std::string StorageText(const StorageInfo& s) {
  std::string text = s.layout;
  if (s.chunk_bytes > 0) text += " in " + Size(s.chunk_bytes);
  if (!s.filters.empty()) text += ", " + s.filters;
  return text + ", " + Size(s.stored_bytes) + " stored";
}

}  // namespace

Status Inspect(const std::string& path, bool verify_digest, Inspection* inspection) {
  Dataset d;
  ReadOptions options;
  options.mode = ReadOptions::Mode::kStream;
  options.verify_digest = verify_digest;
  DISTIL_RETURN_IF_ERROR(OpenDataset(path, options, &d));
  Inspection i;
  i.path = path;
  struct stat info;
  if (stat(path.c_str(), &info) == 0) i.file_bytes = static_cast<uint64_t>(info.st_size);
  i.height = d.height, i.width = d.width, i.channels = d.channels, i.num_classes = d.num_classes;
  i.class_names = d.class_names;
  i.mean = d.mean, i.std = d.std;
  i.source = d.source, i.digest = d.digest;
  i.digest_verified = verify_digest;
  i.warnings = d.warnings;
  for (SplitKind kind : kAllSplits) {
    auto& split = i.splits[static_cast<size_t>(kind)];
    split.samples = d.split(kind).size();
    if (split.samples == 0) continue;
    split.per_class = ClassCounts(d.split(kind).labels, d.num_classes);
    const auto empty = std::count(split.per_class.begin(), split.per_class.end(), 0);
    if (empty > 0) {
      i.warnings.push_back(path + ": the " + SplitName(kind) + " split has no sample of " + std::to_string(empty) +
                           " of the " + std::to_string(d.num_classes) + " classes");
    }
    DISTIL_RETURN_IF_ERROR(ReadStorage(path, kind, &split.storage));
  }
  *inspection = std::move(i);
  return {};
}

std::string InspectionText(const Inspection& i) {
  std::string t = i.path + " (" + Size(i.file_bytes) + ")\n";
  t += "  images   " + std::to_string(i.height) + " x " + std::to_string(i.width) + " x " + std::to_string(i.channels) +
       ", uint8\n";
  t += "  classes  " + std::to_string(i.num_classes);
  for (size_t c = 0; c < i.class_names.size() && c < 8; ++c) t += (c ? ", " : ": ") + i.class_names[c];
  t += i.class_names.size() > 8 ? ", ...\n" : "\n";
  for (SplitKind kind : kAllSplits) {
    const auto& split = i.splits[static_cast<size_t>(kind)];
    if (split.samples == 0) continue;
    const auto [least, most] = std::minmax_element(split.per_class.begin(), split.per_class.end());
    std::string name = SplitName(kind);
    name.resize(9, ' ');
    t += "  " + name + std::to_string(split.samples) + " samples, " + std::to_string(*least);
    if (*most != *least) t += " to " + std::to_string(*most);
    t += " per class; " + StorageText(split.storage) + "\n";
  }
  t += "  mean     " + List(i.mean, " ", Number) + "\n";
  t += "  std      " + List(i.std, " ", Number) + "\n";
  t += "  sha256   " + i.digest + (i.digest_verified ? " (verified)" : " (not verified)") + "\n";
  if (!i.source.empty()) t += "  source   " + i.source + "\n";
  for (const auto& warning : i.warnings) t += "  warning  " + warning + "\n";
  return t;
}

std::string InspectionJson(const Inspection& i) {
  const auto integer = [](int64_t v) { return std::to_string(v); };
  std::string j = "{\n  \"path\": " + Quote(i.path) + ",\n  \"file_bytes\": " + std::to_string(i.file_bytes);
  j += ",\n  \"height\": " + std::to_string(i.height) + ",\n  \"width\": " + std::to_string(i.width) +
       ",\n  \"channels\": " + std::to_string(i.channels) + ",\n  \"num_classes\": " + std::to_string(i.num_classes);
  j += ",\n  \"class_names\": [" + List(i.class_names, ", ", Quote) + "]";
  j += ",\n  \"mean\": [" + List(i.mean, ", ", Exact) + "],\n  \"std\": [" + List(i.std, ", ", Exact) + "]";
  j += ",\n  \"sha256\": " + Quote(i.digest) + ",\n  \"sha256_verified\": " + (i.digest_verified ? "true" : "false");
  j += ",\n  \"source_url\": " + Quote(i.source) + ",\n  \"splits\": {";
  bool first = true;
  for (SplitKind kind : kAllSplits) {
    const auto& split = i.splits[static_cast<size_t>(kind)];
    if (split.samples == 0) continue;
    j += first ? "\n" : ",\n";
    first = false;
    j += "    " + Quote(SplitName(kind)) + ": {\"samples\": " + std::to_string(split.samples) +
         ", \"layout\": " + Quote(split.storage.layout) +
         ", \"chunk_bytes\": " + std::to_string(split.storage.chunk_bytes) +
         ", \"filters\": " + Quote(split.storage.filters) +
         ", \"stored_bytes\": " + std::to_string(split.storage.stored_bytes) + ",\n      \"per_class\": [" +
         List(split.per_class, ", ", integer) + "]}";
  }
  j += "\n  },\n  \"warnings\": [" + List(i.warnings, ", ", Quote) + "]\n}\n";
  return j;
}

}  // namespace distil::data
