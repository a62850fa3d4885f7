// Random graphs for tests of passes and backends: the same seed gives the same graph on every backend.
//
// Values stay of the order of 1 and depend continuously on inputs, so that results of two ways of computing may be
// compared: what jumps (Select) looks only at inputs, which keep away from the threshold.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/ops/harness.h"

namespace distil {

class RandomGraph {
 public:
  Graph graph;
  std::vector<VariableRef> variables;
  Feeds feeds;

  RandomGraph(uint64_t seed, Backend* backend, int nodes) : rng_(seed), backend_(backend) {
    images_ = {rng_.Int(1, 3), Channels(), rng_.Int(3, 8), rng_.Int(3, 8)};
    Leaf(images_);
    Leaf({images_[0], rng_.Int(2, 20)});
    for (int i = 0; i < nodes; ++i) Grow();
    for (size_t i = 0; i < pool_.size(); ++i)
      if (i + 1 == pool_.size() || rng_.Int(0, 4) == 0) graph.Output("out" + std::to_string(i), pool_[i].id());
    for (const VariableRef& v : variables)
      if (rng_.Coin()) AssignSomething(v);
    EXPECT_EQ(graph.error(), "") << "seed " << seed;
  }

 private:
  int64_t Channels() { return std::vector<int64_t>{1, 3, 8, 16, 16, 32, 48}[static_cast<size_t>(rng_.Int(0, 6))]; }

  std::vector<double> Values(const Shape& s, double scale) {  // odd multiples of 1/16
    std::vector<double> v(static_cast<size_t>(s.elements()));
    for (double& x : v) x = scale * (static_cast<double>(rng_.Int(-8, 7)) / 8 + 1.0 / 16);
    return v;
  }
  Expr Leaf(const Shape& s) {
    const std::string name = "x" + std::to_string(feeds.size());
    feeds[name] = {Values(s, 1), false};
    inputs_.push_back(Input(&graph, name, s));
    pool_.push_back(inputs_.back());
    return pool_.back();
  }
  // A parameter: a variable, or numbers that are fixed.
  Expr Parameter(const Shape& s, double scale) {
    if (rng_.Int(0, 3) == 0) return Data(&graph, s, Values(s, scale));
    variables.push_back(MakeVariable(backend_, "v" + std::to_string(variables.size()), s, Values(s, scale)));
    return Read(&graph, variables.back());
  }
  Expr Any() { return pool_[static_cast<size_t>(rng_.Int(0, static_cast<int64_t>(pool_.size()) - 1))]; }
  Expr Recent() {
    const auto n = static_cast<int64_t>(pool_.size());
    return pool_[static_cast<size_t>(rng_.Int(std::max<int64_t>(0, n - 3), n - 1))];
  }
  // A value whose shape broadcasts together with x's.
  Expr Partner(Expr x) {
    std::vector<Expr> fit = {x};
    for (Expr e : pool_) {
      bool ok = e.rank() == x.rank();
      for (int d = 0; ok && d < x.rank(); ++d) ok = e.dim(d) == x.dim(d) || e.dim(d) == 1 || x.dim(d) == 1;
      if (ok) fit.push_back(e);
    }
    if (rng_.Int(0, 2) == 0) {
      Shape s = x.shape();
      for (int d = 0; d < s.rank(); ++d)
        if (rng_.Coin()) s[d] = 1;
      return Parameter(s, 1);
    }
    return fit[static_cast<size_t>(rng_.Int(0, static_cast<int64_t>(fit.size()) - 1))];
  }
  Axes SomeAxes(int rank) {
    Axes axes;
    for (int d = 0; d < rank; ++d)
      if (rng_.Coin()) axes.push_back(d);
    return axes;
  }

  Expr Unary(Expr x) {
    switch (rng_.Int(0, 7)) {
      case 0: return Relu(x);
      case 1: return Tanh(x);
      case 2: return Sigmoid(x);
      case 3: return Abs(x);
      case 4: return Exp(Tanh(x));
      case 5: return Sqrt(Abs(x) + 0.25);
      case 6: return Log(Square(x) + 0.5);
      default: return x * rng_.Uniform(-1, 1) + rng_.Uniform(-1, 1);
    }
  }
  Expr Binary(Expr x, Expr y) {
    switch (rng_.Int(0, 6)) {
      case 0: return x + y;
      case 1: return x - y;
      case 2: return Tanh(x) * y;
      case 3: return Max(x, y);
      case 4: return Min(x, y);
      case 5: return x / (Square(y) + 1.0);
      default: {
        Expr condition = inputs_[static_cast<size_t>(rng_.Int(0, static_cast<int64_t>(inputs_.size()) - 1))];
        if (!(condition.shape() == x.shape())) return x + y;
        return Select(Less(condition, 0.25), x, y);
      }
    }
  }
  Expr Convolution(Expr x) {
    ConvAttrs a;
    const int64_t c = x.dim(1), o = Channels();
    int64_t kernel[2];
    for (int i = 0; i < 2; ++i) {
      kernel[i] = x.dim(2 + i) >= 3 && rng_.Coin() ? 3 : 1;
      a.stride[i] = rng_.Int(1, 2);
      a.pad[i] = kernel[i] / 2;
    }
    if (c > 1 && o % c == 0 && rng_.Int(0, 3) == 0) a.groups = c;
    const double fan_in = static_cast<double>(c / a.groups * kernel[0] * kernel[1]);
    Expr y = Conv2d(x, Parameter({o, c / a.groups, kernel[0], kernel[1]}, 2 / std::sqrt(fan_in)), a);
    const Shape row{1, o, 1, 1};
    if (rng_.Coin()) y = y * Parameter(row, 1);
    if (rng_.Coin()) y = y + Parameter(row, 1);
    if (rng_.Coin()) y = y + Partner(y);
    if (rng_.Coin()) y = Relu(y);
    return y;
  }
  Expr Pooling(Expr x) {
    PoolAttrs a;
    for (int i = 0; i < 2; ++i) {
      a.kernel[i] = std::min<int64_t>(x.dim(2 + i), rng_.Int(1, 3));
      a.stride[i] = rng_.Int(1, 2);
      a.pad[i] = rng_.Int(0, a.kernel[i] / 2);
    }
    return rng_.Coin() ? MaxPool(x, a) : AvgPool(x, a);
  }
  Expr Move(Expr x) {
    const int axis = static_cast<int>(rng_.Int(0, x.rank() - 1));
    switch (rng_.Int(0, 4)) {
      case 0: {
        Axes p;
        for (int d = 0; d < x.rank(); ++d) p.push_back(d);
        rng_.Shuffle(&p);
        return Transpose(x, p);
      }
      case 1: {
        const int64_t begin = rng_.Int(0, x.dim(axis) - 1);
        return Slice(x, axis, begin, rng_.Int(1, x.dim(axis) - begin));
      }
      case 2: return Pad(x, axis, rng_.Int(0, 2), rng_.Int(0, 2));
      case 3: return Concat({x, Tanh(x)}, axis);
      default: return x.rank() == 4 ? Reshape(x, {x.dim(0), x.dim(1), x.dim(2) * x.dim(3)}) : Reshape(x, {-1});
    }
  }
  Expr Reduction(Expr x) {
    const Axes axes = SomeAxes(x.rank());
    switch (rng_.Int(0, 2)) {
      case 0: return Mean(x, axes);
      case 1: return MaxOf(x, axes);
      default: return Mean(Square(x - Mean(x, axes)), axes);
    }
  }

  void Grow() {
    Expr x = rng_.Int(0, 3) ? Recent() : Any();
    Expr y;
    const int64_t kind = rng_.Int(0, 11);
    if (kind == 0 && x.shape().elements() < 3000 && x.rank() > 0)
      y = Move(x);
    else if (kind <= 2)
      y = Reduction(x);
    else if (kind <= 4 && x.rank() == 4 && x.dim(1) <= 64)
      y = Convolution(x);
    else if (kind == 5 && x.rank() == 4 && std::max(x.dim(2), x.dim(3)) > 1)
      y = Pooling(x);
    else if (kind == 6 && x.rank() == 2)
      y = MatMul(x, Parameter({x.dim(1), rng_.Int(1, 20)}, 1 / std::sqrt(static_cast<double>(x.dim(1)))));
    else if (kind == 7 && x.rank() == 4 && x.shape().elements() / x.dim(1) > 20)
      y = BatchNorm(x + Leaf(x.shape()), Parameter({x.dim(1)}, 1), Parameter({x.dim(1)}, 1), 0.1).y;
    else if (kind <= 9)
      y = Binary(x, Partner(x));
    else
      y = Unary(x);
    if (y.shape().elements() > 20000) return;
    pool_.push_back(y);
  }

  // Another value, another variable (a swap, sometimes), or a step from the old value.
  void AssignSomething(const VariableRef& v) {
    std::vector<Expr> fit;
    for (Expr e : pool_)
      if (e.shape() == v->shape) fit.push_back(e);
    for (const VariableRef& other : variables)
      if (other->shape == v->shape) fit.push_back(Read(&graph, other));
    const Expr next = fit[static_cast<size_t>(rng_.Int(0, static_cast<int64_t>(fit.size()) - 1))];
    graph.Assign(v, (rng_.Coin() ? next : Read(&graph, v) * 0.5 + next).id());
  }

  Rng rng_;
  Backend* backend_;
  Shape images_;
  std::vector<Expr> pool_, inputs_;
};

}  // namespace distil
