// How a Fused node is laid out over a GPU, before any code is written for it.
//
// The space of the body is a box of axes. Axes that lie behind one another in every operand's memory become one, and
// those of extent 1 vanish, so most bodies run over one or two axes. What reduces over the same axes is computed by one
// pass, which is one kernel; stores go with the last pass, so that a result may take the place of an operand.
//
// Within a pass an axis is kept or reduced. The last axis, along which memory is contiguous, is cut into groups of
// `lanes` elements that a thread loads and stores at once; the block's threads are a grid of
//     kept_threads x reduced_threads
// whose faster coordinate runs along the last axis. Each thread accumulates what it sees, then the block adds its
// threads' sums in a tree. A reduction of much to little is split over blocks as well: their partial results go to the
// workspace, and a second pass adds those. The order of every sum is fixed by the shapes alone, so that results have
// the same bits in every run and on every GPU.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/status.h"
#include "lib/graph/graph.h"

namespace distil::cuda {

// An operand or result in memory: strides in elements, one per axis of the body's space, 0 where it broadcasts (or is
// reduced), and the offset of its first element.
struct Operand {
  DType dtype = DType::kF32;
  std::vector<int64_t> stride;
  int64_t offset = 0;
};
Operand OperandOf(const Value& v);

inline constexpr int kThreads = 256;

struct Axis {
  int64_t size;
  bool reduced;
  std::vector<int64_t> stride;  // per Memory
};

struct Memory {
  enum Where : uint8_t { kIn, kOut, kWorkspace } where;
  int index;       // of the node's input or output
  int64_t offset;  // in elements
  DType dtype;
};

struct Sink {
  int32_t instr;
  FusedBody::Reduce reduce;
  int memory;
};

struct Pass {
  std::vector<FusedBody::Instr> code;  // what the sinks need; kLoad's arg[0] is a memory
  std::vector<Memory> memory;
  std::vector<Sink> sinks;
  std::vector<Axis> axes;  // outer first

  bool flat = false;  // one axis without broadcasts other than scalars: its extent is an argument of the kernel
  bool wide = false;  // indices need 64 bits
  int lanes = 1;      // elements of the last axis that a thread handles together
  int unroll = 1;     // groups of lanes that are loaded before any is used
  int kept_threads = kThreads, reduced_threads = 1;
  int64_t blocks = 1;  // over kept groups
  int64_t splits = 1;  // over reduced groups
  int64_t chunk = 0;   // reduced groups per split

  bool reduces() const;
  bool last_reduced() const { return axes.back().reduced; }
  int64_t Count(bool reduced) const;   // elements of the kept or of the reduced axes
  int64_t Groups(bool reduced) const;  // the same, in groups of lanes along the last axis
  bool Vector(int memory) const;       // whether its lanes can be loaded or stored at once
};

struct FusedPlan {
  std::vector<Pass> passes;
  size_t workspace = 0;
};

// Fails when an operand is larger than a kernel can address.
Status PlanFused(const FusedBody& body, const std::vector<Operand>& in, const std::vector<Operand>& out,
                 FusedPlan* plan);

// Whether the output may lie in the memory of the input: all of its elements are read where they are written.
bool MayShare(const FusedBody& body, const Operand& in, const Operand& out, FusedBody::Reduce reduce);

}  // namespace distil::cuda
