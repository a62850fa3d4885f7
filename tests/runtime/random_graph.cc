#include "tests/runtime/random_graph.h"

#include <gtest/gtest.h>

#include "lib/expr/nn.h"

namespace distil {
namespace {

class Maker {
 public:
  Maker(uint64_t seed, Backend* backend, bool naive, bool low)
      : rng_(seed), backend_(backend), naive_(naive), smooth_(rng_.Coin()) {
    r_.graph.low_scope = low;
  }

  RandomGraph Make() {
    for (int64_t n = rng_.Int(1, 3); n > 0; --n) Keep(In(AnyShape()));
    Keep(In({2, 3, 5, 4}));
    for (int64_t n = rng_.Int(2, 4); n > 0; --n) Keep(Var(rng_.Coin() ? Any().shape() : AnyShape()));
    for (int64_t n = rng_.Int(8, 30); n > 0; --n) Keep(Step());
    if (smooth_) Train();
    Update();
    Declare();
    return std::move(r_);
  }

 private:
  Graph* g() { return &r_.graph; }
  Expr Any() { return r_.values[static_cast<size_t>(rng_.Int(0, static_cast<int64_t>(r_.values.size()) - 1))]; }
  Shape AnyShape() {
    Shape s;
    for (int64_t rank = rng_.Int(0, 4); rank > 0; --rank) s.Append(rng_.Int(1, 6));
    return s;
  }
  void Keep(Expr e) {
    if (e.valid() && e.shape().elements() <= 4000) r_.values.push_back(e);
  }
  std::vector<double> Numbers(const Shape& shape) {
    std::vector<double> values(static_cast<size_t>(shape.elements()));
    for (double& v : values) v = static_cast<float>(rng_.Uniform(-1, 1));
    return values;
  }
  Expr In(const Shape& shape) {
    const std::string name = "x" + std::to_string(r_.feeds.size());
    r_.feeds[name] = {Numbers(shape), false};
    return Input(g(), name, shape);
  }
  Expr Var(const Shape& shape) {
    const std::string name = "w" + std::to_string(r_.variables.size());
    r_.variables.push_back(MakeVariable(backend_, name, shape, Numbers(shape)));
    return Read(g(), r_.variables.back());
  }
  Axes SomeAxes(Expr x) {
    Axes axes;
    for (int i = 0; i < x.rank(); ++i)
      if (rng_.Coin()) axes.push_back(i);
    return axes;
  }
  Expr Image() {  // a value of rank 4, or one made of another
    Expr x = Any();
    if (x.rank() == 4) return x;
    return Reshape(x, {1, 1, x.shape().elements(), 1});
  }
  Expr Matrix() {
    Expr x = Any();
    if (x.rank() == 2) return x;
    return x.rank() == 0 ? Reshape(x, {1, 1}) : Reshape(x, {x.dim(0), -1});
  }

  // One more value, of moderate size.
  Expr Step() {
    Expr x = Any();
    switch (rng_.Int(0, 23)) {
      case 0: return Tanh(x * 2.0);
      case 1: return smooth_ ? Sigmoid(x) : Relu(x);
      case 2: return smooth_ ? Exp(-(x * x)) : Abs(x - 0.25);
      case 3: return Sqrt(x * x + 0.5);
      case 4: return -x;
      case 5:
      case 6: return Tanh(Pair(x));
      case 7: return Mean(x, SomeAxes(x));
      case 8: return smooth_ ? Softmax(Matrix()) : MaxOf(x, SomeAxes(x));
      case 9: return x - Mean(x, SomeAxes(x));  // a reduction and its broadcast
      case 10: {
        Axes p;
        for (int i = 0; i < x.rank(); ++i) p.push_back(i);
        rng_.Shuffle(&p);
        return Transpose(x, p);
      }
      case 11: return x.rank() < 2 ? Reshape(x, {-1, 1}) : Reshape(x, {-1});
      case 12: return x.rank() < 1 ? x * 0.5 : Slice(x, 0, rng_.Int(0, x.dim(0) - 1), 1);
      case 13: return x.rank() < 1 ? x + 0.5 : Pad(x, -1, rng_.Int(0, 2), rng_.Int(0, 2));
      case 14: return x.rank() < 1 ? x * x : Concat({x, Tanh(x), x}, static_cast<int>(rng_.Int(0, x.rank() - 1)));
      case 15: {
        Expr a = Matrix();
        return Tanh(MatMul(a, rng_.Coin() ? Var({a.dim(1), rng_.Int(1, 5)}) : In({a.dim(1), rng_.Int(1, 5)})));
      }
      case 16: {
        Expr a = Matrix();
        return Tanh(MatMul(a, a, false, true) * (1.0 / static_cast<double>(a.dim(1))));
      }
      case 17: {
        Expr a = Image();
        ConvAttrs c;
        c.pad[0] = c.pad[1] = 1;
        c.stride[0] = c.stride[1] = rng_.Int(1, 2);
        const int64_t out = rng_.Coin() ? 16 : rng_.Int(1, 4);
        return Tanh(Conv2d(a, rng_.Coin() ? Var({out, a.dim(1), 3, 3}) : In({out, a.dim(1), 3, 3}), c));
      }
      case 18: {
        Expr a = Image();
        PoolAttrs p;
        p.kernel[0] = p.kernel[1] = 2, p.stride[0] = p.stride[1] = rng_.Int(1, 2), p.pad[0] = p.pad[1] = 1;
        return smooth_ || rng_.Coin() ? AvgPool(a, p) : MaxPool(a, p);
      }
      case 19: {
        Expr a = rng_.Coin() ? Image() : Matrix();
        if (a.shape().elements() / a.dim(1) < 2) return a * 0.9;
        return BatchNorm(a, Var({a.dim(1)}), In({a.dim(1)}), 0.5).y;
      }
      case 20: {
        Expr a = Matrix();
        const std::string name = "x" + std::to_string(r_.feeds.size());
        Feed rows{{}, true};
        for (int i = 0; i < 3; ++i) rows.values.push_back(static_cast<double>(rng_.Int(0, a.dim(0) - 1)));
        r_.feeds[name] = rows;
        return Gather(a, IndexInput(g(), name, {3}));
      }
      case 21: return Tanh(StopGradient(x) * x);
      case 22: {  // a residual block: its input is wanted twice
        Expr a = Image();
        ConvAttrs c;
        c.pad[0] = c.pad[1] = 1;
        Expr y = Conv2d(a, Var({a.dim(1), a.dim(1), 3, 3}) * 0.3, c) + a;
        return smooth_ ? Tanh(y) : Relu(y);
      }
      default: return smooth_ ? Softplus(x) * 0.5 : Select(Greater(x, 0.0), x, x * 0.1);
    }
  }

  // x with something that broadcasts to it.
  Expr Pair(Expr x) {
    Expr y = Any();
    for (int tries = 0; tries < 8 && !(y.shape() == x.shape()); ++tries) y = Any();
    if (!(y.shape() == x.shape())) y = Mean(x, SomeAxes(x));
    switch (rng_.Int(0, 3)) {
      case 0: return x + y;
      case 1: return x - y;
      case 2: return x * y;
      default: return smooth_ ? x * y + y : Max(x, y);
    }
  }

  // Gradients of a loss by all variables: backward passes are where values live long.
  void Train() {
    Expr loss = Constant(g(), 0);
    for (int i = 0; i < 3; ++i) loss = loss + MeanAll(Square(Any()));
    Keep(loss);
    std::vector<Expr> wrt;
    for (const VariableRef& v : r_.variables) wrt.push_back(Read(g(), v));
    for (Expr d : Gradients(loss, wrt)) Keep(d), gradients_.push_back(d);
  }

  void Update() {
    for (size_t i = 0; i < r_.variables.size(); ++i) {
      Expr v = Read(g(), r_.variables[i]);
      Expr next;
      Expr other = Read(g(), r_.variables[static_cast<size_t>(rng_.Int(0, static_cast<int64_t>(i)))]);
      const int64_t kind = rng_.Int(0, 5);
      if (kind == 0 && other.shape() == v.shape()) next = other;
      if (kind == 1) next = v * 0.9;
      if (kind == 5 && v.rank() == 2 && v.dim(0) == v.dim(1)) next = rng_.Coin() ? Transpose(v) : Tanh(MatMul(v, v));
      if (kind == 2) next = BroadcastTo(MeanAll(Any()), v.shape());
      if (kind == 3) next = BroadcastTo(Constant(g(), 0.25), v.shape());
      if (Expr any = Any(); kind == 4 && any.shape().elements() == v.shape().elements()) next = Reshape(any, v.shape());
      if (!next.valid() || !(next.shape() == v.shape()))
        next = gradients_.empty() ? Tanh(v + MeanAll(Any())) : v - 0.1 * gradients_[i];
      r_.next.push_back(next);
      r_.assigned.push_back(i == 0 || rng_.Int(0, 3) > 0);
    }
    // Two that change places.
    for (size_t i = 0; i < r_.variables.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (!(r_.variables[i]->shape == r_.variables[j]->shape) || rng_.Coin()) continue;
        r_.next[i] = Read(g(), r_.variables[j]);
        r_.next[j] = Read(g(), r_.variables[i]);
      }
    }
  }

  void Declare() {
    std::vector<Expr> chosen = {r_.values.back()};
    for (int64_t n = rng_.Int(0, 4); n > 0; --n) chosen.push_back(Any());
    if (rng_.Coin()) chosen.push_back(r_.next[0]);
    for (size_t i = 0; i < chosen.size(); ++i) g()->Output("y" + std::to_string(i), chosen[i].id());
    for (size_t i = 0; i < r_.next.size(); ++i) {
      if (naive_)
        g()->Output("next" + std::to_string(i), r_.next[i].id());
      else if (r_.assigned[i])
        g()->Assign(r_.variables[i], r_.next[i].id());
    }
    for (size_t i = 0; i < r_.values.size() && naive_; ++i) g()->Output("v" + std::to_string(i), r_.values[i].id());
    EXPECT_TRUE(g()->ok()) << g()->error();
  }

  Rng rng_;
  Backend* backend_;
  bool naive_, smooth_;
  RandomGraph r_;
  std::vector<Expr> gradients_;
};

}  // namespace

RandomGraph MakeRandomGraph(uint64_t seed, Backend* backend, bool naive, bool low) {
  return Maker(seed, backend, naive, low).Make();
}

}  // namespace distil
