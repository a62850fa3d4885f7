// The loop engine: runs a FusedBody over strided operands, tile by tile.
//
// A tile is at most 1024 points of the two innermost dimensions. Its operands are loaded (or used in place when they
// are contiguous f32), each instruction is one vectorised loop over the tile, and results are stored or reduced.
// Everything between memory and memory stays in the first-level cache; with AVX-512, where a tile's operands are together
// or repeat every 16 points, in registers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/graph/graph.h"

namespace distil::onednn {

struct LoopOperand {
  Shape shape;  // broadcasts to the space; its rank is the space's
  Layout layout = Layout::kPlain;
  DType dtype = DType::kF32;
  // For copies between parts of tensors: explicit strides (in elements, by logical axis) and offset instead of
  // `layout`.
  std::vector<int64_t> strides;
  int64_t offset = 0;
};

// nullptr when the body is larger than the engine can hold. `compile`: as machine code where that can be (tile_code.h),
// with the same bits.
std::unique_ptr<Kernel> MakeLoop(const FusedBody& body, const std::vector<LoopOperand>& in,
                                 const std::vector<LoopOperand>& out, int threads, bool compile);

// out = in, element by element, over any layouts and number formats.
std::unique_ptr<Kernel> MakeStridedCopy(const Shape& space, const LoopOperand& in, const LoopOperand& out, int threads);

}  // namespace distil::onednn
