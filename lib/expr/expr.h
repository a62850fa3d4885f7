// Expr: a value of a graph, with operators, so that a formula reads like the paper it comes from.
//
//   Expr z = x - StopGradient(MaxOf(x, {-1}));
//   Expr log_softmax = z - Log(Sum(Exp(z), {-1}));
//
// Nothing is computed here: each call adds a node. Operands broadcast as in NumPy (aligned at the last axis).
// Reductions keep the reduced axes with extent 1, so that results broadcast back. Negative axes count from the end.
// After a mistake every call returns an empty Expr and the graph keeps the first message.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "lib/graph/graph.h"
#include "lib/graph/variable.h"

namespace distil {

class Expr {
 public:
  Expr() = default;
  Expr(Graph* g, ValueId id) : graph_(g), id_(id) {}

  bool valid() const { return graph_ != nullptr && id_ != kNoValue && graph_->ok(); }
  Graph* graph() const { return graph_; }
  ValueId id() const { return id_; }
  // Of an empty Expr: rank 0, and every extent reads as 1, so that code can go on building after an error.
  Shape shape() const { return valid() ? graph_->value(id_).shape : Shape(); }
  int rank() const { return shape().rank(); }
  int64_t dim(int axis) const;
  bool index() const { return valid() && graph_->value(id_).index; }

 private:
  Graph* graph_ = nullptr;
  ValueId id_ = kNoValue;
};

using Axes = std::vector<int>;

// ---- Leaves ------------------------------------------------------------------------------------------------------
Expr Input(Graph* g, const std::string& name, const Shape& shape);
Expr IndexInput(Graph* g, const std::string& name, const Shape& shape);  // int32 numbers
Expr Constant(Graph* g, double v);                                       // a scalar
Expr Data(Graph* g, const Shape& shape, std::vector<double> values);     // row-major
Expr Iota(Graph* g, const Shape& shape);  // 0, 1, 2, ... along the last axis, the same in every row
Expr Read(Graph* g, const VariableRef& v);
// Uniform numbers in [0,1), shape[0] rows, row i a function of (key, slot, ids[i]) alone. key: index [4]; ids: index
// [n].
Expr Random(Expr key, Expr ids, int slot, const Shape& shape);

// ---- Pointwise ---------------------------------------------------------------------------------------------------
Expr operator+(Expr a, Expr b);
Expr operator-(Expr a, Expr b);
Expr operator*(Expr a, Expr b);
Expr operator/(Expr a, Expr b);
Expr operator-(Expr a);
Expr operator+(Expr a, double b);
Expr operator-(Expr a, double b);
Expr operator*(Expr a, double b);
Expr operator/(Expr a, double b);
Expr operator+(double a, Expr b);
Expr operator-(double a, Expr b);
Expr operator*(double a, Expr b);
Expr operator/(double a, Expr b);
Expr Neg(Expr x);
Expr Exp(Expr x);
Expr Log(Expr x);
Expr Log1p(Expr x);
Expr Sqrt(Expr x);
Expr Abs(Expr x);
Expr Sign(Expr x);   // gradient zero
Expr Floor(Expr x);  // gradient zero
Expr Relu(Expr x);   // gradient zero at 0, as PyTorch
Expr Relu6(Expr x);
Expr Sigmoid(Expr x);
Expr Tanh(Expr x);
Expr Square(Expr x);
Expr Softplus(Expr x);  // log(1 + e^x) without overflow
Expr Pow(Expr x, Expr y);
Expr Pow(Expr x, double y);
Expr Max(Expr a, Expr b);
Expr Max(Expr a, double b);
Expr Min(Expr a, Expr b);
Expr Min(Expr a, double b);
Expr Less(Expr a, Expr b);  // comparisons: 1 or 0, gradient zero
Expr Less(Expr a, double b);
Expr Greater(Expr a, Expr b);
Expr Greater(Expr a, double b);
Expr Equal(Expr a, Expr b);
Expr Equal(Expr a, double b);
Expr Select(Expr condition, Expr a, Expr b);  // a where condition is not 0, else b; gradient only into the chosen one
Expr Select(Expr condition, Expr a, double b);
Expr Select(Expr condition, double a, Expr b);

// ---- Reductions (axes kept with extent 1) ------------------------------------------------------------------------
Expr Sum(Expr x, const Axes& axes);
Expr Mean(Expr x, const Axes& axes);
Expr MaxOf(Expr x, const Axes& axes);  // gradient shared equally between ties
Expr MinOf(Expr x, const Axes& axes);
Expr SumAll(Expr x);   // rank 0
Expr MeanAll(Expr x);  // rank 0

// ---- Shape -------------------------------------------------------------------------------------------------------
Expr Reshape(Expr x, const Shape& shape);  // one extent may be -1
Expr Flatten(Expr x);                      // [n, rest]
Expr Transpose(Expr x, const Axes& permutation);
Expr Transpose(Expr x);  // swaps the last two axes
Expr Slice(Expr x, int axis, int64_t begin, int64_t extent, int64_t step = 1);
Expr Pad(Expr x, int axis, int64_t before, int64_t after);  // zeros
Expr Concat(std::span<const Expr> xs, int axis);
Expr Concat(std::initializer_list<Expr> xs, int axis);
Expr BroadcastTo(Expr x, const Shape& shape);

// ---- Linear algebra, windows, rows -------------------------------------------------------------------------------
Expr MatMul(Expr a, Expr b, bool transpose_a = false, bool transpose_b = false);  // rank 2, or 3 with equal batches
Expr Conv2d(Expr x, Expr w, const ConvAttrs& a);
// Adjoint of Conv2d: x [n,o,h,w], w [o,c/groups,kh,kw] as PyTorch's ConvTranspose2d stores it; result [n,c,size].
Expr ConvTranspose2d(Expr x, Expr w, const ConvAttrs& a);
Expr MaxPool(Expr x, const PoolAttrs& a);
Expr AvgPool(Expr x, const PoolAttrs& a);
Expr AdaptiveAvgPool(Expr x, int64_t h, int64_t w);
Expr AdaptiveMaxPool(Expr x, int64_t h, int64_t w);
struct Normalized {
  Expr y, mean, variance;  // mean and biased variance of the batch, [c]
};
Normalized BatchNorm(Expr x, Expr gamma, Expr beta, double eps);  // x [n,c] or [n,c,h,w]
Expr Gather(Expr table, Expr indices);                            // rows
Expr ScatterAdd(Expr rows, Expr indices, int64_t table_rows);
Expr Rank(Expr x);  // of each element along the last axis: 0 = smallest; ties by position; gradient zero
Expr StopGradient(Expr x);

// Derivatives of the scalar `loss` with respect to each of `wrt`, as graph. Zero tensors where there is no path.
// The result can be differentiated again.
std::vector<Expr> Gradients(Expr loss, std::span<const Expr> wrt);

}  // namespace distil
