// The planner: which memory every value of an optimised graph gets, and in which order its kernels run.
//
// Values that only rename memory (Reshape) share it. A kernel's output takes over an input's memory where the kernel
// allows and nobody needs the input any more; a variable's next value is computed straight into the variable when all
// readers of the old value come before. What is left is packed into one arena by size and lifetime.
#pragma once

#include <memory>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/graph/graph.h"

namespace distil {

struct Place {
  enum Kind : uint8_t { kNone, kArena, kConstant, kIo, kVariable } kind = kNone;
  size_t offset = 0;  // into the arena, the constants or the inputs and outputs
  const Variable* variable = nullptr;
};

struct PlannedLaunch {
  std::unique_ptr<Kernel> kernel;
  NodeId node;
  std::vector<Place> in, out;
  size_t workspace = 0;  // offset into the arena
};

struct PlannedCopy {  // a variable's next value, where it could not be computed in place
  std::unique_ptr<Kernel> kernel;
  Place from;
  VariableRef to;
};

struct MemoryPlan {
  std::vector<PlannedLaunch> once;     // computes the constants
  std::vector<PlannedLaunch> every;    // one step
  std::vector<PlannedCopy> copies;     // after the step
  std::vector<VariableRef> read_once;  // variables that the constants depend on
  std::vector<VariableRef> variables;  // all that the program touches
  std::vector<Place> places;           // by value
  std::vector<Place> outputs;          // in the order of the graph's outputs
  size_t arena = 0, constants = 0, io = 0;
  size_t live = 0;  // bytes of the arena that the busiest launch needs: no packing of this order can do with less
};

// `g` must have been optimised by `backend`. Adds copy nodes to `g` where outputs or assigned values need their own
// memory.
Status PlanMemory(Backend* backend, Graph* g, MemoryPlan* plan);

}  // namespace distil
