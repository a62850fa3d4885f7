// Matrix products by cuBLASLt: y = op(a) op(b), row-major, rank 2 or a batch of rank 3; op may transpose the last two
// axes. Factors f32 or bf16, sums and result f32.
//
// The algorithm is the first of cuBLASLt's own ranking among those that add up in a fixed order: a product is either
// summed in one sequence, or in parts that go to the workspace in f32 and are added in a second step. The choice is a
// function of shapes, cuBLASLt's version and the device.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <string>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/libraries.h"
#include "lib/graph/graph.h"

namespace distil::cuda {

struct MatMulSpec {
  Shape a, b, y;
  bool transpose_a = false, transpose_b = false;
  bool bf16 = false;  // a and b
  bool tf32 = false;  // f32 factors may be rounded to 10 bits
};
MatMulSpec MatMulSpecOf(const Graph& g, const Node& n);
std::string Describe(const MatMulSpec& s);

// cuBLASLt's matrices are stored by columns, so a row-major matrix is its transpose to it, and y' = op(b)' op(a)': b
// comes first. These are the matrices as it sees them.
struct ColumnMajor {
  uint64_t rows, columns;
  int64_t leading;  // distance of columns
  int64_t batch;    // distance of matrices
  bool transpose;   // before it is multiplied
};
struct Product {
  ColumnMajor first, second, result;
  int32_t batches;
};
Product ProductOf(const MatMulSpec& s);

class MatMulPlan {
 public:
  // Unsupported when cuBLASLt has no algorithm; the message names the shapes.
  static Status Make(const CublasLt& api, cublasLtHandle_t handle, const MatMulSpec& spec,
                     std::unique_ptr<MatMulPlan>* out);
  ~MatMulPlan();
  size_t workspace() const { return workspace_; }
  Status Enqueue(cublasLtHandle_t handle, const KernelArgs& args, cudaStream_t stream) const;

 private:
  explicit MatMulPlan(const CublasLt& api) : api_(api) {}
  Status Describe(const MatMulSpec& spec);
  Status Matrix(const ColumnMajor& m, int32_t batches, cudaDataType type, cublasLtMatrixLayout_t* out);
  Status Choose(cublasLtHandle_t handle);

  const CublasLt& api_;
  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t first_ = nullptr, second_ = nullptr, result_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
  size_t workspace_ = 0;
};

}  // namespace distil::cuda
