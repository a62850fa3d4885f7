// Matrix product and the three faces of convolution.
//
// All convolutions share   y[n,o,i,j] = sum x[n,c,h,w] w[o,c',kh,kw],  h = i stride - pad + kh dilation  (w
// alike), where c' counts the channels of o's group. One plane is accumulated at a time, in double, in the
// workspace.
#include <algorithm>

#include "lib/backend/reference/kernels.h"

namespace distil::reference {
namespace {

struct Conv {
  int64_t n, c, h, w;  // x
  int64_t o, kh, kw;   // weight [o, c/groups, kh, kw]
  int64_t oh, ow;      // y
  int64_t cg, og;      // channels of one group
  ConvAttrs a;
  // Output columns whose input column, at kernel column k, lies inside x: first, and one past the last.
  int64_t First(int64_t k) const {
    const int64_t shift = a.pad[1] - k * a.dilation[1];
    return shift <= 0 ? 0 : std::min(ow, (shift + a.stride[1] - 1) / a.stride[1]);
  }
  int64_t Last(int64_t k) const {
    const int64_t room = w - 1 + a.pad[1] - k * a.dilation[1];
    return room < 0 ? 0 : std::min(ow, room / a.stride[1] + 1);
  }
  int64_t Row(int64_t i, int64_t k) const { return i * a.stride[0] - a.pad[0] + k * a.dilation[0]; }
  int64_t Column(int64_t j, int64_t k) const { return j * a.stride[1] - a.pad[1] + k * a.dilation[1]; }
};

Conv Geometry(const Ctx& c, const Shape& x, const Shape& w, const Shape& y) {
  const ConvAttrs a = ConvAttrs::Unpack(c.n.ints);
  return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], y[2], y[3], x[1] / a.groups, w[0] / a.groups, a};
}

}  // namespace

// y = relu(conv(x, w) + bias + residual), the last three only when the attributes say so.
template <class T>
KernelPtr MakeConv2d(const Ctx& c) {
  const Conv s = Geometry(c, c.in(0), c.in(1), c.out());
  const int bias = s.a.bias ? 2 : -1, residual = s.a.residual ? 2 + static_cast<int>(s.a.bias) : -1;
  Aliases aliases;
  if (residual >= 0) aliases.emplace_back(residual, 0);
  return MakeLoop(
      [=](const KernelArgs& args) {
        double* plane = static_cast<double*>(args.workspace);  // [oh,ow]
        for (int64_t n = 0; n < s.n; ++n) {
          for (int64_t o = 0; o < s.o; ++o) {
            std::fill_n(plane, s.oh * s.ow, bias >= 0 ? static_cast<double>(In<T>(args, bias)[o]) : 0.0);
            for (int64_t cg = 0; cg < s.cg; ++cg) {
              const int64_t ch = o / s.og * s.cg + cg;
              const T* x = In<T>(args, 0) + (n * s.c + ch) * s.h * s.w;
              const T* w = In<T>(args, 1) + (o * s.cg + cg) * s.kh * s.kw;
              for (int64_t kh = 0; kh < s.kh; ++kh) {
                for (int64_t kw = 0; kw < s.kw; ++kw) {
                  const double weight = w[kh * s.kw + kw];
                  const int64_t first = s.First(kw), last = s.Last(kw);
                  for (int64_t i = 0; i < s.oh; ++i) {
                    const int64_t h = s.Row(i, kh);
                    if (h < 0 || h >= s.h) continue;
                    for (int64_t j = first; j < last; ++j) plane[i * s.ow + j] += weight * x[h * s.w + s.Column(j, kw)];
                  }
                }
              }
            }
            const int64_t begin = (n * s.o + o) * s.oh * s.ow;
            for (int64_t i = 0; i < s.oh * s.ow; ++i) {
              double v = plane[i];
              if (residual >= 0) v += In<T>(args, residual)[begin + i];
              if (s.a.relu && v < 0) v = 0;
              Out<T>(args)[begin + i] = static_cast<T>(v);
            }
          }
        }
      },
      static_cast<size_t>(s.oh * s.ow) * sizeof(double), std::move(aliases));
}

// dx: every y[n,o,i,j] is spread over the x that it came from.
template <class T>
KernelPtr MakeConv2dInput(const Ctx& c) {
  const Conv s = Geometry(c, c.out(), c.in(1), c.in(0));
  return MakeLoop(
      [=](const KernelArgs& args) {
        double* plane = static_cast<double*>(args.workspace);  // [h,w]
        for (int64_t n = 0; n < s.n; ++n) {
          for (int64_t ch = 0; ch < s.c; ++ch) {
            std::fill_n(plane, s.h * s.w, 0.0);
            for (int64_t og = 0; og < s.og; ++og) {
              const int64_t o = ch / s.cg * s.og + og;
              const T* dy = In<T>(args, 0) + (n * s.o + o) * s.oh * s.ow;
              const T* w = In<T>(args, 1) + (o * s.cg + ch % s.cg) * s.kh * s.kw;
              for (int64_t kh = 0; kh < s.kh; ++kh) {
                for (int64_t kw = 0; kw < s.kw; ++kw) {
                  const double weight = w[kh * s.kw + kw];
                  const int64_t first = s.First(kw), last = s.Last(kw);
                  for (int64_t i = 0; i < s.oh; ++i) {
                    const int64_t h = s.Row(i, kh);
                    if (h < 0 || h >= s.h) continue;
                    for (int64_t j = first; j < last; ++j)
                      plane[h * s.w + s.Column(j, kw)] += weight * dy[i * s.ow + j];
                  }
                }
              }
            }
            T* dx = Out<T>(args) + (n * s.c + ch) * s.h * s.w;
            for (int64_t i = 0; i < s.h * s.w; ++i) dx[i] = static_cast<T>(plane[i]);
          }
        }
      },
      static_cast<size_t>(s.h * s.w) * sizeof(double));
}

// dw[o,c',kh,kw] = sum over n, i, j of x and dy.
template <class T>
KernelPtr MakeConv2dWeight(const Ctx& c) {
  const Conv s = Geometry(c, c.in(0), c.out(), c.in(1));
  return MakeLoop([=](const KernelArgs& args) {
    for (int64_t o = 0; o < s.o; ++o) {
      for (int64_t cg = 0; cg < s.cg; ++cg) {
        const int64_t ch = o / s.og * s.cg + cg;
        T* dw = Out<T>(args) + (o * s.cg + cg) * s.kh * s.kw;
        for (int64_t kh = 0; kh < s.kh; ++kh) {
          for (int64_t kw = 0; kw < s.kw; ++kw) {
            const int64_t first = s.First(kw), last = s.Last(kw);
            double sum = 0;
            for (int64_t n = 0; n < s.n; ++n) {
              const T* x = In<T>(args, 0) + (n * s.c + ch) * s.h * s.w;
              const T* dy = In<T>(args, 1) + (n * s.o + o) * s.oh * s.ow;
              for (int64_t i = 0; i < s.oh; ++i) {
                const int64_t h = s.Row(i, kh);
                if (h < 0 || h >= s.h) continue;
                for (int64_t j = first; j < last; ++j)
                  sum += static_cast<double>(x[h * s.w + s.Column(j, kw)]) * dy[i * s.ow + j];
              }
            }
            dw[kh * s.kw + kw] = static_cast<T>(sum);
          }
        }
      }
    }
  });
}

// y[i,j] = sum over k of a[i,k] b[k,j], for each of the batch; either operand may lie transposed in memory.
template <class T>
KernelPtr MakeMatMul(const Ctx& c) {
  const int r = c.out().rank() - 2;
  const int64_t batch = r ? c.out()[0] : 1, m = c.out()[r], n = c.out()[r + 1];
  const bool ta = c.n.ints[0], tb = c.n.ints[1];
  const int64_t k = c.in(0)[r + !ta];
  return MakeLoop(
      [=](const KernelArgs& args) {
        double* row = static_cast<double*>(args.workspace);  // [n]
        for (int64_t p = 0; p < batch; ++p) {
          const T* a = In<T>(args, 0) + p * m * k;
          const T* b = In<T>(args, 1) + p * k * n;
          for (int64_t i = 0; i < m; ++i) {
            std::fill_n(row, n, 0.0);
            auto at = [&](int64_t q) { return static_cast<double>(ta ? a[q * m + i] : a[i * k + q]); };
            if (tb) {
              for (int64_t j = 0; j < n; ++j)
                for (int64_t q = 0; q < k; ++q) row[j] += at(q) * b[j * k + q];
            } else {
              for (int64_t q = 0; q < k; ++q)
                for (int64_t j = 0; j < n; ++j) row[j] += at(q) * b[q * n + j];
            }
            for (int64_t j = 0; j < n; ++j) Out<T>(args)[(p * m + i) * n + j] = static_cast<T>(row[j]);
          }
        }
      },
      static_cast<size_t>(n) * sizeof(double));
}

REFERENCE_MAKER(Conv2d)
REFERENCE_MAKER(Conv2dInput)
REFERENCE_MAKER(Conv2dWeight)
REFERENCE_MAKER(MatMul)

}  // namespace distil::reference
