// Every op and composite, as a table: how to build it from random inputs, and how closely backends must agree
// on it. ops_test.cc runs the whole table through every check. To test an op, add a line to op_cases.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/ops/harness.h"

namespace distil {

// Where an input's numbers come from: uniform in [lo, hi], or multiples of `step` plus `offset` in that
// range. A grid keeps numbers away from a kink, where differences mean nothing. `distinct`: no two are equal
// or close.
struct Domain {
  double lo = -2, hi = 2;
  double step = 0, offset = 0;
  bool distinct = false;
};

// What a case builds from: the graph, random choices, and inputs filled from their domains.
class Sample {
 public:
  Sample(uint64_t seed, bool bf16) : rng(seed), bf16_(bf16) { graph.low_scope = bf16; }

  Graph graph;
  Rng rng;

  Expr In(const Shape& shape, Domain d = {});
  Expr Index(const Shape& shape, int64_t n);  // int32 in [0, n)
  Shape AnyShape(int min_rank, int max_rank);
  Shape BroadcastsTo(const Shape& shape);  // some extents replaced by 1

  const std::vector<Expr>& inputs() const { return inputs_; }  // the real ones
  const Feeds& feeds() const { return feeds_; }

 private:
  bool bf16_;
  std::vector<Expr> inputs_;
  Feeds feeds_;
};

struct OpCase {
  std::string name;
  std::optional<Op> op;                             // none for a composite
  std::function<std::vector<Expr>(Sample&)> build;  // returns the outputs
  double tolerance = 8;                             // in units of the backend's epsilon
  int derivatives = 2;                              // how many orders are checked against finite differences
};
const std::vector<OpCase>& OpCases();

// Ops that no case needs, because they compute nothing.
bool NeedsCase(Op op);

}  // namespace distil
