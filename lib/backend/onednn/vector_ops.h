// The innermost loops of the engine, compiled once per instruction set (vector_ops.inc) and chosen at run time.
#pragma once

#include <cstdint>

#include "lib/graph/graph.h"

namespace distil::onednn {

// A window of a pooling along one axis, clipped to the image.
struct PoolWindow {
  int64_t begin, end;
  int64_t size;  // what an average divides by along this axis
};

// One plane of a pooling: a large side of in_h x in_w places and a small one of out_h x out_w windows, and the strides
// of places in elements. At each place there are `lanes` neighbouring channels, 16 or 1.
struct PoolPlane {
  const PoolWindow *rows, *cols;
  int64_t in_h, in_w, in_sh, in_sw;
  int64_t out_h, out_w, out_sh, out_sw;
  int lanes;
  bool bf16;
  bool tiles;  // every place belongs to exactly one window
  bool two;    // every window is 2 x 2
};

enum class Pair : uint8_t {
#define PAIR(first, second, side, ...) k##first##second##side,
#include "lib/backend/onednn/pairs.def"
#undef PAIR
};

struct VectorOps {
  const char* isa;
  // out[i] = op(a[i], b[i], c[i]), i < n; operands that the op does not have are ignored. n is any number.
  void (*apply)(Op op, const float* a, const float* b, const float* c, float* out, int64_t n);
  // The same for a pair of ops, which has up to four operands.
  void (*apply_pair)(Pair pair, const float* const in[4], float* out, int64_t n);
  void (*load_bf16)(const uint16_t* in, float* out, int64_t n);
  void (*store_bf16)(const float* in, uint16_t* out, int64_t n);  // to nearest, ties to even
  void (*load_i32)(const int32_t* in, float* out, int64_t n);
  void (*copy)(const float* in, float* out, int64_t n);
  // Reductions of a tile in[rows][cols]; `add` accumulates, otherwise the maximum is taken.
  void (*sum_all)(const float* in, int64_t n, double* acc);
  void (*sum_columns)(const float* in, int64_t rows, int64_t cols, double* acc);  // acc[cols]
  void (*max_columns)(const float* in, int64_t rows, int64_t cols, double* acc);
  // The pooling ops on a plane: MaxPool (a: x, b: v), MaxPoolScatter (x, dy), AvgPool (x), AvgPoolGrad (dy). `sum`:
  // in_h * in_w * lanes floats, for the two that spread over windows that do not tile.
  void (*pool)(Op op, const PoolPlane& p, const void* a, const void* b, void* out, float* sum);
};

// The best set for this processor, determined once.
const VectorOps& GetVectorOps();

namespace base {
extern const VectorOps kOps;
}
namespace avx2 {
extern const VectorOps kOps;
}
namespace avx512 {
extern const VectorOps kOps;
}

}  // namespace distil::onednn
