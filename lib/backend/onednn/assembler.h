// Writes x86-64 machine code: the few instructions of AVX-512 that tile_code.cc is made of, on whole vectors of 16 floats.
// Encodings are those of Intel's Software Developer's Manual, volume 2.
#pragma once

#include <cstdint>
#include <vector>

namespace distil::onednn {

enum Gpr : int { kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi, kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15 };

// [base + rax * scale + offset], scale 0 for none.
struct Address {
  Gpr base;
  int scale = 0;
  int32_t offset = 0;
};

// A mask register that selects lanes: the others keep what they have, or become 0.
struct Lanes {
  int mask = 0;  // 0: all lanes
  bool zero = false;
};

class Assembler {
 public:
  enum Prefix : uint8_t { kNo, k66, kF3 };
  enum Map : uint8_t { k0F = 1, k0F38 = 2, k0F3A = 3 };
  struct Code {
    Prefix prefix;
    Map map;
    uint8_t op;
  };

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  void Append(const Assembler& other) { bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end()); }

  // Vector instructions; a second source that an instruction does not have is register 0.
  void Vector(Code c, int to, int a, int b, Lanes lanes = {}) {
    Evex(c, to, a, b >> 3 & 1, b >> 4 & 1, lanes);
    Byte(0xc0 | (to & 7) << 3 | (b & 7));
  }
  void Vector(Code c, int to, int a, int b, uint8_t imm, Lanes lanes = {}) {
    Vector(c, to, a, b, lanes);
    Byte(imm);
  }
  void Vector(Code c, int reg, Address m) {
    Evex(c, reg, 0, m.base >> 3 & 1, 0, {});
    // The displacement is of four bytes or none: a single byte would count in units of the operand's size.
    Byte((m.offset ? 0x80 : 0x40) | (reg & 7) << 3 | 4);
    Byte((m.scale == 4 ? 0x80 : m.scale == 2 ? 0x40 : 0) | (m.scale ? 0 : 4) << 3 | (m.base & 7));
    if (m.offset)
      Word(m.offset);
    else
      Byte(0);
  }

  void Move(int to, int from, Lanes lanes = {}) { Vector({kNo, k0F, 0x28}, to, 0, from, lanes); }
  void Compare(int mask, int a, int b, uint8_t predicate) { Vector({kNo, k0F, 0xc2}, mask, a, b, predicate); }
  void ShiftLeft(int to, int from, uint8_t bits) { Vector({k66, k0F, 0x72}, 6, to, from, bits); }
  void ShiftRight(int to, int from, uint8_t bits) { Vector({k66, k0F, 0x72}, 2, to, from, bits); }

  void Push(Gpr r) { Short(0x50, r); }
  void Pop(Gpr r) { Short(0x58, r); }
  void LoadPointer(Gpr to, Gpr base, int32_t offset) {  // base is not rsp or r12
    Byte(0x48 | (to >> 3 & 1) << 2 | (base >> 3 & 1));
    Byte(0x8b);
    Byte(0x80 | (to & 7) << 3 | (base & 7));
    Word(offset);
  }
  void ClearRax() { Bytes({0x31, 0xc0}); }
  // rax += 16, and back to the beginning of this code while it is below rsi.
  void Next() {
    Bytes({0x48, 0x83, 0xc0, 16, 0x48, 0x39, 0xf0, 0x0f, 0x8c});
    Word(-static_cast<int32_t>(bytes_.size()) - 4);
  }
  void Return() { Bytes({0xc5, 0xf8, 0x77, 0xc3}); }  // vzeroupper; ret

 private:
  void Byte(int b) { bytes_.push_back(static_cast<uint8_t>(b)); }
  void Bytes(std::initializer_list<int> all) {
    for (int b : all) Byte(b);
  }
  void Word(int32_t w) {
    for (int i = 0; i < 4; ++i) Byte(w >> 8 * i & 0xff);
  }
  void Short(int op, Gpr r) {
    if (r > kRdi) Byte(0x41);
    Byte(op | (r & 7));
  }
  // The prefix of four bytes, which holds the high bits of all registers, inverted; and the opcode. b3 and b4 are those
  // of the operand that is a register or an address's base.
  void Evex(Code c, int reg, int a, int b3, int b4, Lanes lanes) {
    Byte(0x62);
    Byte((~reg >> 3 & 1) << 7 | !b4 << 6 | !b3 << 5 | (~reg >> 4 & 1) << 4 | c.map);
    Byte((~a & 15) << 3 | 4 | c.prefix);
    Byte(lanes.zero << 7 | 2 << 5 | (~a >> 4 & 1) << 3 | lanes.mask);
    Byte(c.op);
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace distil::onednn
