// TileCode: a FusedBody as machine code for AVX-512. Between its loads and its stores everything stays in registers, where
// the loop engine's own instructions go through the first-level cache one by one. It rounds as they do: the bits are the
// same with and without it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/graph/graph.h"

namespace distil::onednn {

// How an operand lies over the points of a tile.
struct TileOperand {
  enum Kind : uint8_t {
    kOther,  // in a way that has no code
    kTile,   // a number for each point, together
    kRow,    // 16 numbers, again and again
    kOne,    // one number
    kSum     // of outputs: points 0, 16, 32, ... added up in f32, points 1, 17, 33, ..., and so on: 16 sums
  } kind;
  DType type;
};

class TileCode {
 public:
  ~TileCode();
  TileCode(const TileCode&) = delete;
  TileCode& operator=(const TileCode&) = delete;

  // Null where there is no such code: on another processor, for ops that are library functions, for too many operands,
  // or where the system forbids to write code.
  static std::unique_ptr<TileCode> Make(const FusedBody& body, const std::vector<TileOperand>& in,
                                        const std::vector<TileOperand>& out);

  // `operands`: the addresses of inputs, then of outputs. `n` points, a multiple of 16. An output may be in place of an
  // input.
  void Run(const void** operands, int64_t n) const {
    operands[operands_] = constants_.data();
    reinterpret_cast<void (*)(const void**, int64_t)>(code_)(operands, n);
  }
  // What `operands` must have room for: one more than there are.
  size_t operands() const { return operands_ + 1; }

 private:
  TileCode() = default;

  void* code_ = nullptr;
  size_t bytes_ = 0, operands_ = 0;
  std::vector<uint32_t> constants_;
};

}  // namespace distil::onednn
