// An assembler for PTX, the portable assembly that NVIDIA's driver compiles for the GPU it finds.
//
// Every instruction makes a new register and returns its name; an operand is such a name or an immediate. So code that
// emits code reads like the code it emits:
//     Val y = a.F("mul.rn.f32", x, a.Float(0.5));      // y = 0.5 x
// Plain C++: no toolkit is needed to generate. (PTX ISA 7.0, for GPUs of compute capability 8.0 and later.)
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace distil::cuda {

using Val = std::string;

class Asm {
 public:
  // An instruction whose result is a new register: an f32, a 16-, 32- or 64-bit word, an f64, a predicate.
  template <class... A>
  Val F(const char* op, const A&... args) {
    return New('f', op, {args...});
  }
  template <class... A>
  Val H(const char* op, const A&... args) {
    return New('h', op, {args...});
  }
  template <class... A>
  Val R(const char* op, const A&... args) {
    return New('r', op, {args...});
  }
  template <class... A>
  Val D(const char* op, const A&... args) {
    return New('d', op, {args...});
  }
  template <class... A>
  Val G(const char* op, const A&... args) {
    return New('g', op, {args...});
  }
  template <class... A>
  Val P(const char* op, const A&... args) {
    return New('p', op, {args...});
  }
  // An instruction without a result, or one that changes a register.
  template <class... A>
  void Do(const char* op, const A&... args) {
    Line(op, {args...});
  }
  void Label(const std::string& name) { text_ += name + ":\n"; }
  // Jumps if `predicate` holds (always, when it is empty). All threads of a block must agree.
  void Branch(const std::string& label, const Val& predicate = {}) {
    text_ += "  " + (predicate.empty() ? "" : "@" + predicate + " ") + "bra.uni " + label + ";\n";
  }
  Val Register(char kind);  // not yet written

  // While an If lives, instructions run only in threads where `predicate` holds (everywhere, when it is empty).
  class If {
   public:
    If(Asm* a, const Val& predicate) : a_(a), outer_(a->guard_) {
      if (!predicate.empty()) a->guard_ = "@" + predicate + " ";
    }
    ~If() { a_->guard_ = outer_; }
    If(const If&) = delete;

   private:
    Asm* a_;
    std::string outer_;
  };

  static Val Float(float v);
  static Val Double(double v);
  static Val Int(int64_t v) { return std::to_string(v); }

  // The module: one kernel of this name. `parameters` are types (u64); a kernel reads them as [p0], [p1], ...
  std::string Module(const std::string& name, const std::vector<std::string>& parameters, int threads,
                     int shared_bytes) const;

 private:
  Val New(char kind, const char* op, std::initializer_list<Val> args);
  void Line(const char* op, std::initializer_list<Val> args);

  std::string text_, guard_;
  int count_[6] = {};
};

}  // namespace distil::cuda
