// Pooling. A thread computes one element of the result, y for a forward op and x's gradient for an adjoint: it visits
// the windows that hold its element in their order, so that nothing is added by two threads.
#include "lib/backend/cuda/kernels/device.h"

namespace distil::cuda::kernels {
namespace {

__device__ int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
__device__ int64_t Most(int64_t a, int64_t b) { return a > b ? a : b; }

struct Range {
  int64_t begin, end;
  int64_t extent = 0;  // what an average divides by
};

// Window i along an axis, clipped to x.
__device__ Range Window(const Pool& p, int axis, int64_t i) {
  const int64_t in = p.in[axis];
  if (p.adaptive) {
    const int64_t begin = i * in / p.out[axis], end = ((i + 1) * in + p.out[axis] - 1) / p.out[axis];
    return {begin, end, end - begin};
  }
  const int64_t begin = i * p.stride[axis] - p.pad[axis], end = begin + p.kernel[axis];
  const int64_t padded = Least(end, in + p.pad[axis]) - begin;
  const Range r{Most(begin, 0), Least(end, in)};
  return {r.begin, r.end, p.count_include_pad ? padded : r.end - r.begin};
}

// The windows that may hold position h.
__device__ Range Windows(const Pool& p, int axis, int64_t h) {
  const int64_t in = p.in[axis], out = p.out[axis];
  if (p.adaptive) return {h * out / in, Least(((h + 1) * out + in - 1) / in, out)};
  const int64_t last = (h + p.pad[axis]) / p.stride[axis];
  const int64_t past = h + p.pad[axis] - p.kernel[axis];  // a window that begins there or before ends at h or before
  return {past < 0 ? 0 : past / p.stride[axis] + 1, Least(last + 1, out)};
}

// An image's element: its place, and where its plane begins.
struct Place {
  int64_t n, c, h, w;
};
__device__ Place PlaceOf(const Pool& p, int64_t i, const int64_t* size) {
  Place at;
  if (p.channels_last) at.c = i % p.c, i /= p.c;
  at.w = i % size[1], i /= size[1];
  at.h = i % size[0], i /= size[0];
  if (!p.channels_last) at.c = i % p.c, i /= p.c;
  at.n = i;
  return at;
}
// The offset of (n, c, 0, 0); elements of the plane are `PlaneStride` apart, its rows size[1] times that.
__device__ int64_t Plane(const Pool& p, const Place& at, const int64_t* size) {
  const int64_t area = size[0] * size[1];
  return p.channels_last ? at.n * area * p.c + at.c : (at.n * p.c + at.c) * area;
}
__device__ int64_t PlaneStride(const Pool& p) { return p.channels_last ? p.c : 1; }

// Position h * width + w of the window's maximum: the first one in row-major order, or the first NaN.
template <class T>
__device__ int64_t ArgMax(const Pool& p, const T* plane, const Range& rows, const Range& columns) {
  const int64_t step = PlaneStride(p), width = p.in[1];
  int64_t best = rows.begin * width + columns.begin;
  float most = ToFloat(plane[best * step]);
  for (int64_t h = rows.begin; h < rows.end; ++h) {
    for (int64_t w = columns.begin; w < columns.end; ++w) {
      const float v = ToFloat(plane[(h * width + w) * step]);
      if (v > most || (v != v && most == most)) best = h * width + w, most = v;
    }
  }
  return best;
}

template <class T>
__global__ void MaxPoolKernel(Pool p, const T* x, const T* v, T* y) {
  const int64_t i = ThreadNumber();
  if (i >= p.n * p.c * p.out[0] * p.out[1]) return;
  const Place at = PlaceOf(p, i, p.out);
  const int64_t plane = Plane(p, at, p.in);
  const int64_t best = ArgMax(p, x + plane, Window(p, 0, at.h), Window(p, 1, at.w));
  y[i] = v[plane + best * PlaneStride(p)];
}

template <class T>
__global__ void MaxPoolScatterKernel(Pool p, const T* x, const T* dy, T* dv) {
  const int64_t i = ThreadNumber();
  if (i >= p.n * p.c * p.in[0] * p.in[1]) return;
  const Place at = PlaceOf(p, i, p.in);
  const T* plane = x + Plane(p, at, p.in);
  const T* from = dy + Plane(p, at, p.out);
  const Range rows = Windows(p, 0, at.h), columns = Windows(p, 1, at.w);
  float sum = 0;
  for (int64_t r = rows.begin; r < rows.end; ++r)
    for (int64_t c = columns.begin; c < columns.end; ++c)
      if (ArgMax(p, plane, Window(p, 0, r), Window(p, 1, c)) == at.h * p.in[1] + at.w)
        sum += ToFloat(from[(r * p.out[1] + c) * PlaneStride(p)]);
  FromFloat(sum, &dv[i]);
}

template <class T>
__global__ void AvgPoolKernel(Pool p, const T* x, T* y) {
  const int64_t i = ThreadNumber();
  if (i >= p.n * p.c * p.out[0] * p.out[1]) return;
  const Place at = PlaceOf(p, i, p.out);
  const T* plane = x + Plane(p, at, p.in);
  const Range rows = Window(p, 0, at.h), columns = Window(p, 1, at.w);
  float sum = 0;
  for (int64_t h = rows.begin; h < rows.end; ++h)
    for (int64_t w = columns.begin; w < columns.end; ++w) sum += ToFloat(plane[(h * p.in[1] + w) * PlaneStride(p)]);
  FromFloat(sum / static_cast<float>(rows.extent * columns.extent), &y[i]);
}

template <class T>
__global__ void AvgPoolGradKernel(Pool p, const T* dy, T* dx) {
  const int64_t i = ThreadNumber();
  if (i >= p.n * p.c * p.in[0] * p.in[1]) return;
  const Place at = PlaceOf(p, i, p.in);
  const T* from = dy + Plane(p, at, p.out);
  const Range rows = Windows(p, 0, at.h), columns = Windows(p, 1, at.w);
  float sum = 0;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    for (int64_t c = columns.begin; c < columns.end; ++c) {
      const int64_t area = Window(p, 0, r).extent * Window(p, 1, c).extent;
      sum += ToFloat(from[(r * p.out[1] + c) * PlaneStride(p)]) / static_cast<float>(area);
    }
  }
  FromFloat(sum, &dx[i]);
}

}  // namespace

// Launches a kernel for f32 or bf16 images, one thread per element of the result, which has the extents `size`.
#define DISTIL_POOL(kernel, size, ...)                                   \
  do {                                                                   \
    const int64_t blocks = BlocksFor(p.n * p.c * (size)[0] * (size)[1]); \
    if (!blocks) return kTooLarge;                                       \
    auto launch = [&](auto type) {                                       \
      using T = decltype(type);                                          \
      DISTIL_LAUNCH(kernel<T>, blocks, kBlock, stream, p, __VA_ARGS__);  \
    };                                                                   \
    if (p.bf16)                                                          \
      launch(uint16_t());                                                \
    else                                                                 \
      launch(float());                                                   \
    return DISTIL_LAUNCH_RESULT();                                       \
  } while (false)

Error MaxPool(const Pool& p, const void* x, const void* v, void* y, Stream stream) {
  DISTIL_POOL(MaxPoolKernel, p.out, static_cast<const T*>(x), static_cast<const T*>(v), static_cast<T*>(y));
}
Error MaxPoolScatter(const Pool& p, const void* x, const void* dy, void* dv, Stream stream) {
  DISTIL_POOL(MaxPoolScatterKernel, p.in, static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<T*>(dv));
}
Error AvgPool(const Pool& p, const void* x, void* y, Stream stream) {
  DISTIL_POOL(AvgPoolKernel, p.out, static_cast<const T*>(x), static_cast<T*>(y));
}
Error AvgPoolGrad(const Pool& p, const void* dy, void* dx, Stream stream) {
  DISTIL_POOL(AvgPoolGradKernel, p.in, static_cast<const T*>(dy), static_cast<T*>(dx));
}

}  // namespace distil::cuda::kernels
