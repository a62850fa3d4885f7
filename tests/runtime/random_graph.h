// Random graphs of most ops, with variables that are read and assigned, for tests that compare two ways of running one.
#pragma once

#include <vector>

#include "tests/ops/harness.h"

namespace distil {

struct RandomGraph {
  Graph graph;
  Feeds feeds;
  std::vector<Expr> values;  // all that was computed on the way
  std::vector<VariableRef> variables;
  std::vector<Expr> next;      // of each variable
  std::vector<bool> assigned;  // whether it takes its next value
};

// The same seed gives the same graph. Variables are allocated by `backend`. Outputs "y0", "y1", ... are declared and
// variables assigned; the naive form of the graph assigns nothing but has every value as an output "v<i>", and every variable's
// next value as "next<i>", so that no two share memory. `low`: bf16 may be used.
RandomGraph MakeRandomGraph(uint64_t seed, Backend* backend, bool naive, bool low = false);

}  // namespace distil
