#include "lib/backend/cuda/kernels/device.h"

namespace distil::cuda::kernels {
namespace {

constexpr int kSide = 32, kRows = 8;  // a block of 32 x 8 threads moves a tile of 32 x 32

__device__ void Convert(uint32_t from, uint32_t* to) { *to = from; }
__device__ void Convert(uint16_t from, uint16_t* to) { *to = from; }
__device__ void Convert(float from, uint16_t* to) { FromFloat(from, to); }
__device__ void Convert(uint16_t from, float* to) { *to = ToFloat(from); }

// The tile is read along b and written along a. A column more than it needs keeps threads of a column out of each
// other's banks.
template <class X, class Y>
__global__ void TransposeKernel(Tiles t, const X* x, Y* y) {
  __shared__ X tile[kSide][kSide + 1];
  const int64_t across = (t.a + kSide - 1) / kSide, down = (t.b + kSide - 1) / kSide;
  int64_t block = blockIdx.x;
  const int64_t a = block % across * kSide;
  block /= across;
  const int64_t b = block % down * kSide;
  block /= down;
  for (int d = t.outer - 1; d >= 0; --d) {
    const int64_t i = block % t.size[d];
    x += i * t.x_stride[d], y += i * t.y_stride[d];
    block /= t.size[d];
  }
  const int column = static_cast<int>(threadIdx.x) % kSide, row = static_cast<int>(threadIdx.x) / kSide;
  for (int r = row; r < kSide; r += kRows)
    if (a + r < t.a && b + column < t.b) tile[r][column] = x[(a + r) * t.x_a + b + column];
  __syncthreads();
  for (int r = row; r < kSide; r += kRows)
    if (b + r < t.b && a + column < t.a) Convert(tile[column][r], &y[(b + r) * t.y_b + a + column]);
}

template <class X, class Y>
Error TransposeAs(const Tiles& t, const void* x, void* y, Stream stream) {
  int64_t blocks = (t.a + kSide - 1) / kSide * ((t.b + kSide - 1) / kSide);
  for (int d = 0; d < t.outer; ++d) blocks *= t.size[d];
  if (blocks > std::numeric_limits<int32_t>::max()) return kTooLarge;
  DISTIL_LAUNCH_TOGETHER((TransposeKernel<X, Y>), blocks, kSide * kRows, stream, t, static_cast<const X*>(x),
                         static_cast<Y*>(y));
  return DISTIL_LAUNCH_RESULT();
}

}  // namespace

Error Transpose(const Tiles& tiles, Element element, const void* x, void* y, Stream stream) {
  switch (element) {
    case Element::kWord: return TransposeAs<uint32_t, uint32_t>(tiles, x, y, stream);
    case Element::kHalf: return TransposeAs<uint16_t, uint16_t>(tiles, x, y, stream);
    case Element::kFloatToBf16: return TransposeAs<float, uint16_t>(tiles, x, y, stream);
    case Element::kBf16ToFloat: return TransposeAs<uint16_t, float>(tiles, x, y, stream);
  }
  return "an unknown kind of element";
}

}  // namespace distil::cuda::kernels
