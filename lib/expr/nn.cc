#include "lib/expr/nn.h"

#include <algorithm>
#include <cmath>

namespace distil {
namespace {

// x [n,c,h,w] times a constant matrix on each spatial axis: y = H x W', H [oh,h], W [ow,w]. Any resize is such a
// product.
Expr Resample(Expr x, std::vector<double> mh, int64_t oh, std::vector<double> mw, int64_t ow) {
  Graph* g = x.graph();
  if (g == nullptr || !g->ok()) return {};
  const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
  if (ow != w || oh != h) {
    x = MatMul(Reshape(x, {n * c * h, w}), Data(g, {ow, w}, std::move(mw)), false, true);   // [nch, ow]
    x = Transpose(Reshape(x, {n, c, h, ow}));                                               // [n,c,ow,h]
    x = MatMul(Reshape(x, {n * c * ow, h}), Data(g, {oh, h}, std::move(mh)), false, true);  // [nc ow, oh]
    x = Transpose(Reshape(x, {n, c, ow, oh}));                                              // [n,c,oh,ow]
  }
  return x;
}

std::vector<double> BilinearMatrix(int64_t out, int64_t in) {
  std::vector<double> m(out * in, 0.0);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  for (int64_t i = 0; i < out; ++i) {
    const double src = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
    const int64_t lo = std::min(static_cast<int64_t>(src), in - 1), hi = std::min(lo + 1, in - 1);
    const double t = src - static_cast<double>(lo);
    m[i * in + lo] += 1 - t;
    m[i * in + hi] += t;
  }
  return m;
}

std::vector<double> NearestMatrix(int64_t out, int64_t in) {
  std::vector<double> m(out * in, 0.0);
  for (int64_t i = 0; i < out; ++i) m[i * in + std::min(i * in / out, in - 1)] = 1;
  return m;
}

bool CheckImage(Expr x, const char* what) {
  if (!x.valid()) return false;
  if (x.rank() == 4) return true;
  x.graph()->Fail(std::string(what) + ": needs an input of rank 4, got " + x.shape().ToString());
  return false;
}

bool CheckResize(Expr x, const char* what, int64_t h, int64_t w) {
  if (!CheckImage(x, what)) return false;
  constexpr int64_t kMost = 4096;  // the matrices have in * out numbers
  if (h >= 1 && w >= 1 && std::max({h, w, x.dim(2), x.dim(3)}) <= kMost) return true;
  x.graph()->Fail(std::string(what) + ": extents lie between 1 and " + std::to_string(kMost) + ", got " +
                  std::to_string(h) + " x " + std::to_string(w) + " from " + x.shape().ToString());
  return false;
}

}  // namespace

Expr LogSoftmax(Expr z) {
  Expr s = z - StopGradient(MaxOf(z, {-1}));  // shift: exp cannot overflow
  return s - Log(Sum(Exp(s), {-1}));
}

Expr Softmax(Expr z) { return Exp(LogSoftmax(z)); }

Expr OneHot(Expr labels, int64_t classes) {
  return Equal(Iota(labels.graph(), {1, classes}), Reshape(labels, {-1, 1}));
}

Expr PickLabel(Expr x, Expr labels) { return Sum(x * OneHot(labels, x.dim(1)), {1}); }

Expr L2Norm(Expr x, const Axes& axes, double eps) {
  Expr square = Sum(Square(x), axes);
  Expr safe = Select(Greater(square, eps * eps), square, 1.0);  // sqrt has no finite slope at 0
  return Select(Greater(square, eps * eps), Sqrt(safe), Constant(x.graph(), eps));
}

Expr L2Normalize(Expr x, const Axes& axes, double eps) { return x / L2Norm(x, axes, eps); }

Expr GlobalAvgPool(Expr x) { return Reshape(Mean(x, {2, 3}), {x.dim(0), x.dim(1)}); }

Expr ResizeBilinear(Expr x, int64_t h, int64_t w) {
  if (!CheckResize(x, "ResizeBilinear", h, w)) return {};
  return Resample(x, BilinearMatrix(h, x.dim(2)), h, BilinearMatrix(w, x.dim(3)), w);
}

Expr ResizeNearest(Expr x, int64_t h, int64_t w) {
  if (!CheckResize(x, "ResizeNearest", h, w)) return {};
  return Resample(x, NearestMatrix(h, x.dim(2)), h, NearestMatrix(w, x.dim(3)), w);
}

Expr ChannelShuffle(Expr x, int64_t groups) {
  if (!CheckImage(x, "ChannelShuffle")) return {};
  if (groups < 1 || x.dim(1) % groups) {
    x.graph()->Fail("ChannelShuffle: " + std::to_string(x.dim(1)) + " channels do not divide into " +
                    std::to_string(groups) + " groups");
    return {};
  }
  Expr y = Reshape(x, {x.dim(0), groups, x.dim(1) / groups, x.dim(2), x.dim(3)});
  return Reshape(Transpose(y, {0, 2, 1, 3, 4}), x.shape());
}

Expr KthSmallest(Expr x, int64_t k) {
  if (x.valid() && (k < 0 || k >= x.dim(-1)))
    x.graph()->Fail("KthSmallest: k = " + std::to_string(k) + " of " + std::to_string(x.dim(-1)));
  return Sum(Select(Equal(Rank(x), static_cast<double>(k)), x, 0.0), {-1});
}

Expr TopK(Expr x, int64_t k) {
  if (!x.valid()) return {};
  const int64_t n = x.dim(-1);
  if (x.rank() < 1 || x.rank() == kMaxRank || k < 1 || k > n) {
    x.graph()->Fail("TopK: k = " + std::to_string(k) + " of " + std::to_string(n) + " along the last axis of " +
                    x.shape().ToString() + ", which may have rank 1 to " + std::to_string(kMaxRank - 1));
    return {};
  }
  Shape out = x.shape();
  out[out.rank() - 1] = k;
  // want[j] = rank of the j-th largest; [...,1,n] against [k,1]
  Shape row = x.shape();
  row[row.rank() - 1] = 1;
  row.Append(n);
  Shape ranks = Shape::Ones(row.rank());
  ranks[ranks.rank() - 2] = k;
  Expr want = (n - 1.0) - Reshape(Iota(x.graph(), {k}), ranks);
  Expr picked = Sum(Select(Equal(Reshape(Rank(x), row), want), Reshape(x, row), 0.0), {-1});
  return Reshape(picked, out);
}

Expr Dropout(Expr x, double p, Expr key, Expr ids, int slot) {
  if (!x.valid()) return {};
  if (p < 0 || p >= 1) {
    x.graph()->Fail("Dropout: the probability must lie in [0,1), got " + std::to_string(p));
    return {};
  }
  if (p == 0) return x;
  return Select(Less(Random(key, ids, slot, x.shape()), p), 0.0, x * (1 / (1 - p)));
}

}  // namespace distil
