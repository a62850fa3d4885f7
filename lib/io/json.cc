#include "lib/io/json.h"

#include <algorithm>

namespace distil {
namespace {

constexpr int kMaxDepth = 32;
constexpr int kMaxValues = 4'000'000;  // each takes some hundred bytes

// Length of the well-formed UTF-8 sequence that `s` begins with, 0 if it does not (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF).
size_t Utf8Length(std::string_view s) {
  auto at = [&](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  auto next = [&](size_t i, unsigned lo = 0x80, unsigned hi = 0xbf) { return at(i) >= lo && at(i) <= hi; };
  const unsigned c = at(0);
  if (s.empty()) return 0;
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return next(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) return next(1, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf) && next(2) ? 3 : 0;
  if (c >= 0xf0 && c <= 0xf4)
    return next(1, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf) && next(2) && next(3) ? 4 : 0;
  return 0;
}

void AppendUtf8(uint32_t c, std::string* s) {
  if (c < 0x80) {
    *s += static_cast<char>(c);
  } else if (c < 0x800) {
    *s += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
  } else if (c < 0x10000) {
    *s += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
           static_cast<char>(0x80 | (c & 63))};
  } else {
    *s += {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
           static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool Document(Json* v) {
    Space();
    if (!Value(v, 0)) return false;
    Space();
    return at_ == text_.size() || Fail("text after the value");
  }
  Status status() const { return Corrupt("byte " + std::to_string(at_) + ": " + why_); }

 private:
  bool Fail(const char* why) {
    if (!*why_) why_ = why;
    return false;
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void Space() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++at_;
  }
  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  bool Word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return Fail("expected a value");
    at_ += w.size();
    return true;
  }

  bool Value(Json* v, int depth) {
    if (depth > kMaxDepth) return Fail("nested too deep");
    if (++values_ > kMaxValues) return Fail("too many values");
    switch (Peek()) {
      case '{': return Object(v, depth);
      case '[': return Array(v, depth);
      case '"': v->type = Json::kString; return String(&v->text);
      case 't':
        v->type = Json::kBool;
        v->text = "true";
        return Word("true");
      case 'f':
        v->type = Json::kBool;
        v->text = "false";
        return Word("false");
      case 'n': v->type = Json::kNull; return Word("null");
      default: return Number(v);
    }
  }

  bool Object(Json* v, int depth) {
    v->type = Json::kObject;
    Take('{');
    Space();
    if (Take('}')) return true;
    do {
      Space();
      v->members.emplace_back();
      if (Peek() != '"') return Fail("expected a name in quotes");
      if (!String(&v->members.back().name)) return false;
      Space();
      if (!Take(':')) return Fail("expected ':'");
      Space();
      if (!Value(&v->members.back().value, depth + 1)) return false;
      Space();
    } while (Take(','));
    if (!Take('}')) return Fail("expected ',' or '}'");
    // Unique names, in n log n: a header may have very many.
    std::vector<const std::string*> names;
    for (const auto& m : v->members) names.push_back(&m.name);
    std::sort(names.begin(), names.end(), [](auto* a, auto* b) { return *a < *b; });
    for (size_t i = 1; i < names.size(); ++i)
      if (*names[i] == *names[i - 1]) return Fail("the same name twice in one object");
    return true;
  }

  bool Array(Json* v, int depth) {
    v->type = Json::kArray;
    Take('[');
    Space();
    if (Take(']')) return true;
    do {
      Space();
      v->items.emplace_back();
      if (!Value(&v->items.back(), depth + 1)) return false;
      Space();
    } while (Take(','));
    return Take(']') || Fail("expected ',' or ']'");
  }

  bool Hex4(uint32_t* out) {
    *out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      const int d = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
      if (d < 0) return Fail("expected four hexadecimal digits");
      *out = *out << 4 | static_cast<uint32_t>(d);
    }
    return true;
  }

  bool Escape(std::string* s) {
    const char c = Peek();
    ++at_;
    switch (c) {
      case '"':
      case '\\':
      case '/': *s += c; return true;
      case 'b': *s += '\b'; return true;
      case 'f': *s += '\f'; return true;
      case 'n': *s += '\n'; return true;
      case 'r': *s += '\r'; return true;
      case 't': *s += '\t'; return true;
      case 'u': break;
      default: return Fail("unknown escape");
    }
    uint32_t u, low;
    if (!Hex4(&u)) return false;
    if (u >= 0xdc00 && u <= 0xdfff) return Fail("half of a surrogate pair");
    if (u >= 0xd800 && u <= 0xdbff) {
      if (!Take('\\') || !Take('u')) return Fail("half of a surrogate pair");
      if (!Hex4(&low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return Fail("half of a surrogate pair");
      u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(u, s);
    return true;
  }

  bool String(std::string* s) {
    Take('"');
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') return Take('"');
      if (static_cast<unsigned char>(c) < 0x20) return Fail("control character in a string");
      if (c == '\\') {
        ++at_;
        if (!Escape(s)) return false;
        continue;
      }
      const size_t n = Utf8Length(text_.substr(at_, 4));
      if (n == 0) return Fail("not UTF-8");
      s->append(text_.substr(at_, n));
      at_ += n;
    }
    return Fail("string without end");
  }

  bool Digits() {
    if (Peek() < '0' || Peek() > '9') return Fail("expected a digit");
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return true;
  }

  bool Number(Json* v) {
    const size_t begin = at_;
    v->type = Json::kNumber;
    Take('-');
    if (Peek() < '0' || Peek() > '9') return Fail("expected a value");
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!Digits()) return false;
    }
    v->text = text_.substr(begin, at_ - begin);
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  int values_ = 0;
  const char* why_ = "";
};

}  // namespace

const Json* Json::Find(std::string_view key) const {
  for (const auto& m : members)
    if (m.name == key) return &m.value;
  return nullptr;
}

Status ParseJson(std::string_view text, Json* out) {
  Reader r(text);
  *out = Json();
  return r.Document(out) ? Status() : r.status();
}

bool IsUtf8(std::string_view s) {
  while (!s.empty()) {
    const size_t n = Utf8Length(s.substr(0, 4));
    if (n == 0) return false;
    s.remove_prefix(n);
  }
  return true;
}

void AppendJsonString(std::string_view s, std::string* out) {
  *out += '"';
  for (char c : s) {
    if (c == '"' || c == '\\') {
      *out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      *out += "\\u00";
      *out += "0123456789abcdef"[c >> 4 & 15];
      *out += "0123456789abcdef"[c & 15];
    } else {
      *out += c;
    }
  }
  *out += '"';
}

}  // namespace distil
