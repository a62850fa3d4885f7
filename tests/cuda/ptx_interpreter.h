// Runs PTX on the host: the subset that lib/backend/cuda generates, with the arithmetic of the hardware (every
// instruction of that subset is exactly specified), so that what it computes is what a GPU computes.
//
// A block's threads run in lockstep, one instruction at a time. That hides what a GPU would not forgive, so it is
// checked: branches on which threads disagree; accesses outside of the regions given or not aligned; a shared-memory
// word that another thread touched since the last barrier; a global word that one thread writes and another one reads
// or writes. Registers start with a NaN.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace distil::cuda {

struct Region {
  const void* begin;
  size_t bytes;
  bool writable = true;
};

class PtxKernel {
 public:
  explicit PtxKernel(const std::string& text);
  // Blocks in order, or from the last to the first. Returns what went wrong, or nothing.
  std::string Run(int64_t blocks_x, int64_t blocks_y, const std::vector<uint64_t>& arguments,
                  const std::vector<Region>& regions, bool backwards = false) const;
  const std::string& error() const { return error_; }  // of the text
  size_t instructions() const { return code_.size(); }

  struct Operand {
    enum Kind : uint8_t { kNone, kRegister, kImmediate, kThread, kBlockX, kBlockY, kAddress, kParameter } kind = kNone;
    int reg = -1;
    int64_t value = 0;
  };
  using Pure = uint64_t (*)(uint64_t, uint64_t, uint64_t);
  struct Instruction {
    enum Kind : uint8_t { kPure, kLoad, kStore, kLoadShared, kStoreShared, kBarrier, kShuffle, kBranch, kReturn };
    Kind kind = kPure;
    Pure pure = nullptr;
    int guard = -1;
    int bytes = 0;              // of a memory access's element
    std::vector<Operand> data;  // registers of a memory access
    Operand dest, a, b, c;      // a: the address of a memory access
    int target = 0;
    std::string text;
  };

 private:
  void Parse(const std::string& line);
  Operand ParseOperand(const std::string& s);
  int RegisterNumber(const std::string& name);

  std::string error_;
  std::vector<Instruction> code_;
  std::map<std::string, int> registers_, labels_;
  int threads_ = 0, shared_ = 0, parameters_ = 0;
};

}  // namespace distil::cuda
