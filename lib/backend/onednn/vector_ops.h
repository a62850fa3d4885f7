// The innermost loops of the engine, compiled once per instruction set (vector_ops.inc) and chosen at run time.
#pragma once

#include <cstdint>

#include "lib/graph/graph.h"

namespace distil::onednn {

struct VectorOps {
  const char* isa;
  // out[i] = op(a[i], b[i], c[i]), i < n; operands that the op does not have are ignored. n is any number.
  void (*apply)(Op op, const float* a, const float* b, const float* c, float* out, int64_t n);
  void (*load_bf16)(const uint16_t* in, float* out, int64_t n);
  void (*store_bf16)(const float* in, uint16_t* out, int64_t n);  // to nearest, ties to even
  void (*load_i32)(const int32_t* in, float* out, int64_t n);
  void (*copy)(const float* in, float* out, int64_t n);
  // Reductions of a tile in[rows][cols]; `add` accumulates, otherwise the maximum is taken.
  void (*sum_all)(const float* in, int64_t n, double* acc);
  void (*sum_columns)(const float* in, int64_t rows, int64_t cols, double* acc);  // acc[cols]
  void (*max_columns)(const float* in, int64_t rows, int64_t cols, double* acc);
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
