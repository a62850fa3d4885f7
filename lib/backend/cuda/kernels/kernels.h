// The kernels that are written by hand, as functions that launch them. No CUDA in this header: the functions are
// compiled by nvcc for the backend, and by the C++ compiler with emulate.h for tests.
//
// Tensors are row-major unless a parameter says otherwise. No kernel uses atomics: each element of a result is computed
// by one thread, in a fixed order. A function returns nullptr, or why it launched nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace distil::cuda::kernels {

using Stream = void*;  // a cudaStream_t
using Error = const char*;

// ---- memory.cu

Error Clear(void* to, size_t bytes, Stream stream);
Error Copy(void* to, const void* from, size_t bytes, Stream stream);  // in the device's memory, or from HostCopy's
// A copy of numbers in host memory that the device may read at any time; empty when there is no room for it.
std::shared_ptr<const void> HostCopy(const void* from, size_t bytes);
// Several small copies in one launch; a block for each.
struct Parts {
  static constexpr int kMost = 128;
  struct {
    const uint32_t* from;
    uint32_t* to;
    int64_t words;
  } part[kMost];
};
Error CopyParts(const Parts& parts, int count, Stream stream);

// ---- make.cu: tensors from nothing

// y[i] = i mod row.
Error Iota(float* y, int64_t n, int64_t row, Stream stream);
// y [rows,width]: uniform numbers of the samples `ids` [rows], as DropoutUniform (lib/base/random.h) has them.
Error Random(const int32_t* key, const int32_t* ids, uint32_t slot, float* y, int64_t rows, int64_t width,
             Stream stream);

// ---- rows.cu: rows by index, order along rows

// y[i,:] = table[index[i],:] for table [rows,row_bytes], y [n,row_bytes]; rows that are not there are filled with the
// word `none`. row_bytes is a multiple of 4.
Error Gather(const void* table, const int32_t* index, void* y, int64_t rows, int64_t n, int64_t row_bytes,
             uint32_t none, Stream stream);
// table[index[i],:] += x[i,:] from zeros, i ascending; table [rows,width], x [n,width]. An index that is not a row is
// dropped. workspace: ScatterAddWorkspace(n) bytes.
size_t ScatterAddWorkspace(int64_t n);
Error ScatterAdd(const float* x, const int32_t* index, float* table, int64_t rows, int64_t n, int64_t width,
                 void* workspace, Stream stream);
// Position of each element in its sorted row; equal elements in their own order, NaN last.
Error Rank(const float* x, float* y, int64_t rows, int64_t n, Stream stream);

// ---- transpose.cu

// y[i,j,k...] = x[...] over strided tensors, through tiles in shared memory, so that both sides are accessed along
// their contiguous axis: axis `a` is contiguous in y, axis `b` in x.
struct Tiles {
  static constexpr int kMaxOuter = 8;
  int64_t a = 1, b = 1;      // extents
  int64_t x_a = 0, y_b = 0;  // strides: x's along a, y's along b
  int outer = 0;             // further axes
  int64_t size[kMaxOuter] = {}, x_stride[kMaxOuter] = {}, y_stride[kMaxOuter] = {};
};
enum class Element : uint8_t { kWord, kHalf, kFloatToBf16, kBf16ToFloat };  // 4 bytes, 2 bytes, conversions
Error Transpose(const Tiles& tiles, Element element, const void* x, void* y, Stream stream);

// ---- pool.cu: windows over images x, y, in either layout (channels_last or [n,c,h,w]), f32 or bf16

struct Pool {
  int64_t n = 0, c = 0;
  int64_t in[2] = {}, out[2] = {};  // extents of x and of y
  int64_t kernel[2] = {}, stride[2] = {}, pad[2] = {};
  bool count_include_pad = true, adaptive = false, channels_last = false, bf16 = false;
};
Error MaxPool(const Pool& p, const void* x, const void* v, void* y, Stream stream);  // v at x's maximum
Error MaxPoolScatter(const Pool& p, const void* x, const void* dy, void* dv, Stream stream);
Error AvgPool(const Pool& p, const void* x, void* y, Stream stream);
Error AvgPoolGrad(const Pool& p, const void* dy, void* dx, Stream stream);

}  // namespace distil::cuda::kernels
