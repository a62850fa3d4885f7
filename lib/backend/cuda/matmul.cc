#include "lib/backend/cuda/matmul.h"

#include "lib/backend/cuda/layout.h"

namespace distil::cuda {
namespace {

constexpr uint64_t kWorkspace = uint64_t{32} << 20;  // bytes at most: what NVIDIA advises for Hopper
constexpr uint32_t kAlignment = 64;                  // of every address that a program uses

Status LtStatus(const CublasLt& api, cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  const std::string message = std::string(what) + ": cuBLASLt says " + api.cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return Unsupported(message);
  if (status == CUBLAS_STATUS_ALLOC_FAILED) return {Code::kOutOfMemory, message};
  return Internal(message);
}

#define DISTIL_LT(call, what) DISTIL_RETURN_IF_ERROR(LtStatus(api_, api_.call, what))

}  // namespace

MatMulSpec MatMulSpecOf(const Graph& g, const Node& n) {
  const Value &a = g.value(n.in[0]), &b = g.value(n.in[1]), &y = g.value(n.out[0]);
  const bool tf32 = n.ints.size() > 2 && (n.ints[2] & kTf32);
  return {a.shape, b.shape, y.shape, n.ints[0] != 0, n.ints[1] != 0, a.dtype == DType::kBF16, tf32};
}

std::string Describe(const MatMulSpec& s) {
  auto operand = [](const Shape& shape, bool transpose) { return shape.ToString() + (transpose ? "'" : ""); };
  return "matmul " + operand(s.a, s.transpose_a) + " " + operand(s.b, s.transpose_b) + (s.bf16 ? ", bf16" : ", f32");
}

Product ProductOf(const MatMulSpec& s) {
  auto view = [](const Shape& m, bool transpose) {
    const int r = m.rank();
    const int64_t rows = m[r - 2], columns = m[r - 1];
    return ColumnMajor{static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), columns, rows * columns, transpose};
  };
  return {view(s.b, s.transpose_b), view(s.a, s.transpose_a), view(s.y, false),
          static_cast<int32_t>(s.y.rank() == 3 ? s.y[0] : 1)};
}

Status MatMulPlan::Make(const CublasLt& api, cublasLtHandle_t handle, const MatMulSpec& spec,
                        std::unique_ptr<MatMulPlan>* out) {
  std::unique_ptr<MatMulPlan> plan(new MatMulPlan(api));
  Status s = plan->Describe(spec);
  if (s.ok()) s = plan->Choose(handle);
  if (!s.ok()) return {s.code(), cuda::Describe(spec) + ": " + s.message()};
  *out = std::move(plan);
  return {};
}

MatMulPlan::~MatMulPlan() {
  for (cublasLtMatrixLayout_t m : {first_, second_, result_})
    if (m) api_.cublasLtMatrixLayoutDestroy(m);
  if (product_) api_.cublasLtMatmulDescDestroy(product_);
}

Status MatMulPlan::Describe(const MatMulSpec& spec) {
  const bool rounds = spec.tf32 && !spec.bf16;
  DISTIL_LT(cublasLtMatmulDescCreate(&product_, rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
            "product");
  const Product p = ProductOf(spec);
  for (auto [name, transpose] : {std::pair(CUBLASLT_MATMUL_DESC_TRANSA, p.first.transpose),
                                 std::pair(CUBLASLT_MATMUL_DESC_TRANSB, p.second.transpose)}) {
    const cublasOperation_t op = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    DISTIL_LT(cublasLtMatmulDescSetAttribute(product_, name, &op, sizeof op), "product");
  }
  const cudaDataType factors = spec.bf16 ? CUDA_R_16BF : CUDA_R_32F;
  DISTIL_RETURN_IF_ERROR(Matrix(p.first, p.batches, factors, &first_));
  DISTIL_RETURN_IF_ERROR(Matrix(p.second, p.batches, factors, &second_));
  return Matrix(p.result, p.batches, CUDA_R_32F, &result_);
}

Status MatMulPlan::Matrix(const ColumnMajor& m, int32_t batches, cudaDataType type, cublasLtMatrixLayout_t* out) {
  DISTIL_LT(cublasLtMatrixLayoutCreate(out, type, m.rows, m.columns, m.leading), "matrix");
  if (batches == 1) return {};
  DISTIL_LT(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches, sizeof batches),
            "matrix");
  DISTIL_LT(
      cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &m.batch, sizeof m.batch),
      "matrix");
  return {};
}

Status MatMulPlan::Choose(cublasLtHandle_t handle) {
  cublasLtMatmulPreference_t preference = nullptr;
  DISTIL_LT(cublasLtMatmulPreferenceCreate(&preference), "preferences");
  const auto destroy = [this](cublasLtMatmulPreference_t p) { api_.cublasLtMatmulPreferenceDestroy(p); };
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, decltype(destroy)> owner(preference,
                                                                                                    destroy);
  auto set = [&](cublasLtMatmulPreferenceAttributes_t name, auto value) {
    return LtStatus(api_, api_.cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value),
                    "preferences");
  };
  DISTIL_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace));
  // Not in place, where parts are added to the result in its own memory as they arrive.
  DISTIL_RETURN_IF_ERROR(
      set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)));
  for (cublasLtMatmulPreferenceAttributes_t name :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    DISTIL_RETURN_IF_ERROR(set(name, kAlignment));

  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  DISTIL_LT(
      cublasLtMatmulAlgoGetHeuristic(handle, product_, first_, second_, result_, result_, preference, 1, &best, &found),
      "choice of an algorithm");
  if (found == 0 || best.state != CUBLAS_STATUS_SUCCESS)
    return Unsupported("cuBLASLt has no algorithm for it that adds up in a fixed order");
  algorithm_ = best.algo;
  workspace_ = best.workspaceSize;
  return {};
}

Status MatMulPlan::Enqueue(cublasLtHandle_t handle, const KernelArgs& args, cudaStream_t stream) const {
  const float one = 1, zero = 0;
  DISTIL_LT(cublasLtMatmul(handle, product_, &one, args.in[1], first_, args.in[0], second_, &zero, args.out[0], result_,
                           args.out[0], result_, &algorithm_, args.workspace, workspace_, stream),
            "matmul");
  return {};
}

}  // namespace distil::cuda
