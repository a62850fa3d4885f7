#include "lib/backend/cuda/ptx.h"

#include <bit>
#include <cstdio>
#include <cstring>

namespace distil::cuda {
namespace {

constexpr char kKinds[] = "fhrdgp";
constexpr const char* kTypes[] = {".f32", ".b16", ".b32", ".b64", ".f64", ".pred"};

}  // namespace

Val Asm::Register(char kind) {
  return "%" + std::string(1, kind) + std::to_string(count_[std::strchr(kKinds, kind) - kKinds]++);
}

Val Asm::New(char kind, const char* op, std::initializer_list<Val> args) {
  const Val result = Register(kind);
  text_ += "  " + guard_ + op + " " + result;
  for (const Val& v : args) text_ += ", " + v;
  text_ += ";\n";
  return result;
}

void Asm::Line(const char* op, std::initializer_list<Val> args) {
  text_ += "  " + guard_ + op;
  const char* separator = " ";
  for (const Val& v : args) {
    text_ += separator + v;
    separator = ", ";
  }
  text_ += ";\n";
}

Val Asm::Float(float v) {
  char text[16];
  std::snprintf(text, sizeof text, "0f%08X", std::bit_cast<uint32_t>(v));
  return text;
}

Val Asm::Double(double v) {
  char text[24];
  std::snprintf(text, sizeof text, "0d%016llX", static_cast<unsigned long long>(std::bit_cast<uint64_t>(v)));
  return text;
}

std::string Asm::Module(const std::string& name, const std::vector<std::string>& parameters, int threads,
                        int shared_bytes) const {
  std::string s = ".version 7.0\n.target sm_80\n.address_size 64\n\n.visible .entry " + name + "(";
  for (size_t i = 0; i < parameters.size(); ++i)
    s += (i ? ", " : "") + std::string(".param .") + parameters[i] + " p" + std::to_string(i);
  s += ")\n.maxntid " + std::to_string(threads) + ", 1, 1\n{\n";
  for (size_t k = 0; kKinds[k]; ++k)
    if (count_[k])
      s += "  .reg " + std::string(kTypes[k]) + " %" + kKinds[k] + "<" + std::to_string(count_[k]) + ">;\n";
  if (shared_bytes) s += "  .shared .align 16 .b8 shared[" + std::to_string(shared_bytes) + "];\n";
  return s + text_ + "  ret;\n}\n";
}

}  // namespace distil::cuda
