// Pooling: windows over the two spatial axes of x [n,c,h,w].
#include <algorithm>
#include <cmath>

#include "lib/backend/reference/kernels.h"

namespace distil::reference {
namespace {

struct Pool {
  PoolAttrs a;
  int64_t planes;   // n * c
  int64_t size[2];  // of x
  int64_t out[2];   // of y

  // Window i along an axis, clipped to x, and the extent that an average divides by.
  struct Range {
    int64_t begin, end, extent;
  };
  Range Window(int axis, int64_t i) const {
    const int64_t in = size[axis];
    if (a.adaptive) {
      const int64_t begin = i * in / out[axis], end = ((i + 1) * in + out[axis] - 1) / out[axis];
      return {begin, end, end - begin};
    }
    const int64_t begin = i * a.stride[axis] - a.pad[axis], end = begin + a.kernel[axis];
    const int64_t padded = std::min(end, in + a.pad[axis]) - begin;
    const Range r{std::max<int64_t>(begin, 0), std::min(end, in), padded};
    return {r.begin, r.end, a.count_include_pad ? padded : r.end - r.begin};
  }

  // Calls f(plane's offset in x, offset in y, rows, columns) for every window.
  template <class F>
  void Each(F f) const {
    for (int64_t p = 0; p < planes; ++p)
      for (int64_t i = 0; i < out[0]; ++i)
        for (int64_t j = 0; j < out[1]; ++j)
          f(p * size[0] * size[1], (p * out[0] + i) * out[1] + j, Window(0, i), Window(1, j));
  }
};

Pool Geometry(const Ctx& c, const Shape& x, const Shape& y) {
  return {PoolAttrs::Unpack(c.n.ints), x[0] * x[1], {x[2], x[3]}, {y[2], y[3]}};
}

// Offset in the plane of the window's maximum: the first one in row-major order, or the first NaN.
template <class T>
int64_t ArgMax(const T* x, int64_t width, Pool::Range rows, Pool::Range columns) {
  int64_t best = rows.begin * width + columns.begin;
  for (int64_t h = rows.begin; h < rows.end; ++h) {
    for (int64_t w = columns.begin; w < columns.end; ++w) {
      const T v = x[h * width + w];
      if (v > x[best] || (std::isnan(v) && !std::isnan(x[best]))) best = h * width + w;
    }
  }
  return best;
}

}  // namespace

// y = v at the position of x's maximum.
template <class T>
KernelPtr MakeMaxPool(const Ctx& c) {
  const Pool s = Geometry(c, c.in(0), c.out());
  return MakeLoop([s](const KernelArgs& a) {
    s.Each([&](int64_t plane, int64_t to, Pool::Range rows, Pool::Range columns) {
      Out<T>(a)[to] = In<T>(a, 1)[plane + ArgMax(In<T>(a, 0) + plane, s.size[1], rows, columns)];
    });
  });
}

// dv: each dy goes to the position of x's maximum.
template <class T>
KernelPtr MakeMaxPoolScatter(const Ctx& c) {
  const Pool s = Geometry(c, c.in(0), c.in(1));
  const int64_t n = c.out().elements();
  return MakeLoop([s, n](const KernelArgs& a) {
    std::fill_n(Out<T>(a), n, T(0));
    s.Each([&](int64_t plane, int64_t from, Pool::Range rows, Pool::Range columns) {
      Out<T>(a)[plane + ArgMax(In<T>(a, 0) + plane, s.size[1], rows, columns)] += In<T>(a, 1)[from];
    });
  });
}

template <class T>
KernelPtr MakeAvgPool(const Ctx& c) {
  const Pool s = Geometry(c, c.in(0), c.out());
  return MakeLoop([s](const KernelArgs& a) {
    s.Each([&](int64_t plane, int64_t to, Pool::Range rows, Pool::Range columns) {
      const T* x = In<T>(a, 0) + plane;
      double sum = 0;
      for (int64_t h = rows.begin; h < rows.end; ++h)
        for (int64_t w = columns.begin; w < columns.end; ++w) sum += x[h * s.size[1] + w];
      Out<T>(a)[to] = static_cast<T>(sum / static_cast<double>(rows.extent * columns.extent));
    });
  });
}

// dx: each dy spreads evenly over its window.
template <class T>
KernelPtr MakeAvgPoolGrad(const Ctx& c) {
  const Pool s = Geometry(c, c.out(), c.in(0));
  const int64_t n = c.out().elements();
  return MakeLoop([s, n](const KernelArgs& a) {
    std::fill_n(Out<T>(a), n, T(0));
    s.Each([&](int64_t plane, int64_t from, Pool::Range rows, Pool::Range columns) {
      T* dx = Out<T>(a) + plane;
      const T share = In<T>(a, 0)[from] / static_cast<T>(rows.extent * columns.extent);
      for (int64_t h = rows.begin; h < rows.end; ++h)
        for (int64_t w = columns.begin; w < columns.end; ++w) dx[h * s.size[1] + w] += share;
    });
  });
}

REFERENCE_MAKER(MaxPool)
REFERENCE_MAKER(MaxPoolScatter)
REFERENCE_MAKER(AvgPool)
REFERENCE_MAKER(AvgPoolGrad)

}  // namespace distil::reference
