// What a step asks of the memory and the arithmetic of a device, counted from the optimised graph: a floor for its time,
// whoever runs it. A step cannot be faster than its bytes at the memory's rate, nor than its multiply-adds at the
// arithmetic's rate, nor than its launches at the time that one takes.
#pragma once

#include <cstdint>
#include <string>

#include "lib/graph/graph.h"

namespace distil {

struct StepCost {
  struct Part {
    int64_t launches = 0;
    int64_t small = 0;          // of them, those that move less than 64 KiB: a launch, not the memory, is their time
    int64_t bytes = 0;          // operands read once and results written once, each in its format
    int64_t multiply_adds = 0;  // of convolutions and products
  };
  Part convolutions, products, fused, pools, reorders, others;
  Part total() const;
};

// Of what runs in every step: what depends on constants only, and on variables that the graph does not assign, is
// computed once and counts where it is read.
StepCost CostOf(const Graph& g);

// One line a part: "convolutions    87 launches (   0 small)    871.017 MB    40.350 G multiply-adds".
std::string ToText(const StepCost& cost);

}  // namespace distil
