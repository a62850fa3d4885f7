// Reductions over axes that keep extent 1, order along a row, and batch normalisation.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "lib/backend/reference/kernels.h"

namespace distil::reference {
namespace {

// Folds x into one accumulator per element of the output: fold(accumulator, value).
template <class T, class F>
KernelPtr Reduce(const Ctx& c, double start, F fold) {
  const Shape space = c.in(0);
  const std::array<Strides, 2> strides = {StridesOf(space), StridesOf(c.out())};
  const int64_t n = c.out().elements();
  return MakeLoop(
      [=](const KernelArgs& a) {
        const T* x = In<T>(a, 0);
        double* sum = static_cast<double*>(a.workspace);
        std::fill_n(sum, n, start);
        Walk(space, strides, [&](const auto& at) { fold(sum[at[1]], static_cast<double>(x[at[0]])); });
        for (int64_t i = 0; i < n; ++i) Out<T>(a)[i] = static_cast<T>(sum[i]);
      },
      static_cast<size_t>(n) * sizeof(double));
}

}  // namespace

template <class T>
KernelPtr MakeSum(const Ctx& c) {
  return Reduce<T>(c, 0.0, [](double& sum, double v) { sum += v; });
}

template <class T>
KernelPtr MakeMaxReduce(const Ctx& c) {
  return Reduce<T>(c, -std::numeric_limits<double>::infinity(), [](double& max, double v) {
    if (v > max || v != v) max = v;  // NaN stays
  });
}

// Position of each element in the sorted row; equal elements in their own order, NaN last.
template <class T>
KernelPtr MakeRank(const Ctx& c) {
  const int64_t n = c.in(0)[c.in(0).rank() - 1], rows = c.in(0).elements() / n;
  return MakeLoop(
      [=](const KernelArgs& a) {
        int64_t* order = static_cast<int64_t*>(a.workspace);
        for (int64_t r = 0; r < rows; ++r) {
          const T* x = In<T>(a, 0) + r * n;
          T* rank = Out<T>(a) + r * n;
          for (int64_t i = 0; i < n; ++i) order[i] = i;
          std::sort(order, order + n, [x](int64_t i, int64_t j) {
            const bool ni = x[i] != x[i], nj = x[j] != x[j];
            if (ni != nj) return nj;
            if (!ni && x[i] != x[j]) return x[i] < x[j];
            return i < j;
          });
          for (int64_t i = 0; i < n; ++i) rank[order[i]] = static_cast<T>(i);
        }
      },
      static_cast<size_t>(n) * sizeof(int64_t));
}

// x [n,c,p] -> y [n,c,p], mean [c], variance [c] (biased), over the n*p values of a channel.
template <class T>
KernelPtr MakeBatchNorm(const Ctx& c) {
  const int64_t n = c.in(0)[0], channels = c.in(0)[1], p = c.in(0).elements() / (n * channels);
  const double eps = c.n.reals[0], m = static_cast<double>(n * p);
  return MakeLoop([=](const KernelArgs& a) {
    const T *x = In<T>(a, 0), *gamma = In<T>(a, 1), *beta = In<T>(a, 2);
    T *y = Out<T>(a, 0), *mean = Out<T>(a, 1), *variance = Out<T>(a, 2);
    for (int64_t ch = 0; ch < channels; ++ch) {
      auto each = [&](auto f) {  // f(offset of a value of this channel)
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < p; ++j) f((i * channels + ch) * p + j);
      };
      double sum = 0, squares = 0;
      each([&](int64_t i) { sum += x[i]; });
      const double mu = sum / m;
      each([&](int64_t i) { squares += (x[i] - mu) * (x[i] - mu); });
      const double var = squares / m, scale = gamma[ch] / std::sqrt(var + eps), shift = beta[ch];
      each([&](int64_t i) { y[i] = static_cast<T>((x[i] - mu) * scale + shift); });
      mean[ch] = static_cast<T>(mu);
      variance[ch] = static_cast<T>(var);
    }
  });
}

REFERENCE_MAKER(Sum)
REFERENCE_MAKER(MaxReduce)
REFERENCE_MAKER(Rank)
REFERENCE_MAKER(BatchNorm)

}  // namespace distil::reference
