// LayoutPass: rewrites a graph so that every operand lies as its kernel needs it, with Reorder nodes where layout or
// number format change. What is the same for every backend is here: the walk, one Reorder for all who ask for the same;
// fused nodes, pooling, and what moves parts of images or their channels follow their operands. A backend says how its
// convolutions want theirs.
//
// Afterwards outputs and next values of variables lie row-major in f32.
#pragma once

#include <vector>

#include "lib/base/status.h"
#include "lib/graph/graph.h"

namespace distil {

class LayoutPass {
 public:
  // bf16: values marked `low` may be kept in bf16.
  LayoutPass(const Graph& from, bool bf16);
  virtual ~LayoutPass() = default;
  Status Run(Graph* out);

 protected:
  // An image with something to gain from a layout: [n,c,1,1] is the same in all of them. In the midst of a channel
  // shuffle the channels have two axes.
  static bool Spatial(const Shape& s) { return s.rank() >= 4 && s[s.rank() - 2] * s[s.rank() - 1] > 1; }

  virtual Status Conv(const Node& node) = 0;
  virtual void MatMul(const Node& node) { Plain(node); }
  // For a pool whose operands have no preference: images of so many channels.
  virtual Layout PoolLayout(int64_t channels) const = 0;

  // `v` of the old graph in a layout and format: itself, or a Reorder of it (the same one for every asker).
  ValueId Want(ValueId v, Layout layout, DType dtype, uint32_t opaque = 0, int64_t groups = 1);
  // As it is, unless only a convolution can read it.
  ValueId Natural(ValueId v);
  // Adds a node with one output.
  ValueId Add(Node n);
  // How a new value lies. Says row-major for values whose layout makes no difference.
  ValueId Describe(ValueId v, Layout layout, DType dtype, uint32_t opaque = 0);
  bool Low(ValueId v) const { return bf16_ && from_.value(v).low; }
  void Plain(const Node& node);  // all operands and results row-major in f32

  const Graph& from_;
  Graph to_;
  std::vector<ValueId> map_;

 private:
  void Fused(const Node& node);
  void Pool(const Node& node);
  bool MovesImages(const Node& node) const;
  void Move(const Node& node);

  bool bf16_;
  std::vector<bool> read_;  // by a node: those that are not are only outputs or next values of variables
};

}  // namespace distil
