// Products as cuBLASLt is told of them: column-major views whose product is the row-major one, the preferences, and
// what runs. The functions are stand-ins that keep what they are given; the real library needs a device for more.
#include "lib/backend/cuda/matmul.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "lib/backend/cuda/layout.h"
#include "tests/ops/harness.h"

namespace distil::cuda {
namespace {

// ---- Views

// What cuBLASLt computes: result = op(first) op(second), each stored by columns.
void Multiply(const Product& p, const std::vector<double>& first, const std::vector<double>& second,
              std::vector<double>* result) {
  auto at = [](const std::vector<double>& m, const ColumnMajor& v, int64_t batch, int64_t row, int64_t column) {
    if (v.transpose) std::swap(row, column);
    EXPECT_LT(row, static_cast<int64_t>(v.rows));
    EXPECT_LT(column, static_cast<int64_t>(v.columns));
    return m[static_cast<size_t>(batch * v.batch + column * v.leading + row)];
  };
  const auto m = static_cast<int64_t>(p.result.rows), n = static_cast<int64_t>(p.result.columns);
  const auto k = static_cast<int64_t>(p.first.transpose ? p.first.rows : p.first.columns);
  EXPECT_EQ(k, static_cast<int64_t>(p.second.transpose ? p.second.columns : p.second.rows));
  for (int64_t b = 0; b < p.batches; ++b)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l) sum += at(first, p.first, b, i, l) * at(second, p.second, b, l, j);
        (*result)[static_cast<size_t>(b * p.result.batch + j * p.result.leading + i)] = sum;
      }
}

TEST(CublasLtViews, GiveTheRowMajorProduct) {
  Rng rng(1);
  for (int64_t batch : {0, 1, 3})
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        const int64_t m = 4, k = 5, n = 3;
        auto shape = [&](int64_t rows, int64_t columns, bool transpose) {
          if (transpose) std::swap(rows, columns);
          return batch ? Shape{batch, rows, columns} : Shape{rows, columns};
        };
        auto numbers = [&](const Shape& s) {
          std::vector<double> v;
          for (int64_t i = s.elements(); i > 0; --i) v.push_back(rng.Uniform(-1, 1));
          return v;
        };
        const MatMulSpec s{shape(m, k, ta), shape(k, n, tb), shape(m, n, false), ta, tb, false, false};
        const std::vector<double> a = numbers(s.a), b = numbers(s.b);
        Graph g;
        g.Output("y", MatMul(Input(&g, "a", s.a), Input(&g, "b", s.b), ta, tb).id());
        const std::vector<double> want = RunOnce(ReferenceF64(), g, {{"a", {a}}, {"b", {b}}}).at("y");
        std::vector<double> got(want.size());
        Multiply(ProductOf(s), b, a, &got);
        ExpectClose(got, want, 1e-14, Describe(s));
      }
}

// ---- Plans

struct Fake {
  std::map<int, uint64_t> preferences;
  std::map<int, int> operations;  // CUBLASLT_MATMUL_DESC_TRANSA, ...
  cublasComputeType_t compute{};
  cudaDataType scale{};
  struct Matrix {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t leading;
    std::map<int, int64_t> attributes;
  };
  std::vector<std::unique_ptr<Matrix>> matrices;
  int alive = 0;
  int algorithms = 1;
  std::vector<const void*> ran;  // first, second, result, workspace
  size_t workspace = 0;
  CublasLt api;

  static Fake*& self() {
    static Fake* f;
    return f;
  }
  Fake() {
    self() = this;
    api.cublasLtGetStatusString = [](cublasStatus_t) -> const char* { return "no"; };
    api.cublasLtMatmulDescCreate = [](cublasLtMatmulDesc_t* out, cublasComputeType_t compute, cudaDataType scale) {
      self()->compute = compute, self()->scale = scale, ++self()->alive;
      *out = reinterpret_cast<cublasLtMatmulDesc_t>(self());
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmulDescDestroy = [](cublasLtMatmulDesc_t) {
      --self()->alive;
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmulDescSetAttribute = [](cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t name, const void* v,
                                            size_t size) {
      EXPECT_EQ(size, 4u);
      std::memcpy(&self()->operations[name], v, 4);
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatrixLayoutCreate = [](cublasLtMatrixLayout_t* out, cudaDataType type, uint64_t rows, uint64_t columns,
                                        int64_t leading) {
      self()->matrices.push_back(std::make_unique<Matrix>(Matrix{type, rows, columns, leading, {}}));
      ++self()->alive;
      *out = reinterpret_cast<cublasLtMatrixLayout_t>(self()->matrices.back().get());
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatrixLayoutDestroy = [](cublasLtMatrixLayout_t) {
      --self()->alive;
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatrixLayoutSetAttribute = [](cublasLtMatrixLayout_t m, cublasLtMatrixLayoutAttribute_t name,
                                              const void* v, size_t size) {
      EXPECT_EQ(size, name == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? 4u : 8u);
      std::memcpy(&reinterpret_cast<Matrix*>(m)->attributes[name], v, size);
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmulPreferenceCreate = [](cublasLtMatmulPreference_t* out) {
      ++self()->alive;
      *out = reinterpret_cast<cublasLtMatmulPreference_t>(self());
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmulPreferenceDestroy = [](cublasLtMatmulPreference_t) {
      --self()->alive;
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmulPreferenceSetAttribute = [](cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t name,
                                                  const void* v, size_t size) {
      EXPECT_EQ(size, name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8u : 4u);
      self()->preferences[name] = 0;
      std::memcpy(&self()->preferences[name], v, size);
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmulAlgoGetHeuristic = [](cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                            cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                            cublasLtMatmulPreference_t, int wanted,
                                            cublasLtMatmulHeuristicResult_t* out, int* found) {
      EXPECT_EQ(wanted, 1);
      *found = self()->algorithms;
      out->state = CUBLAS_STATUS_SUCCESS;
      out->workspaceSize = 4096;
      out->algo.data[0] = 11;
      return CUBLAS_STATUS_SUCCESS;
    };
    api.cublasLtMatmul = [](cublasLtHandle_t, cublasLtMatmulDesc_t, const void* alpha, const void* a,
                            cublasLtMatrixLayout_t, const void* b, cublasLtMatrixLayout_t, const void* beta,
                            const void* c, cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t,
                            const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t bytes, cudaStream_t) {
      EXPECT_EQ(*static_cast<const float*>(alpha), 1);
      EXPECT_EQ(*static_cast<const float*>(beta), 0);
      EXPECT_EQ(c, d);
      EXPECT_EQ(algorithm->data[0], 11u);
      self()->ran = {a, b, d, workspace};
      self()->workspace = bytes;
      return CUBLAS_STATUS_SUCCESS;
    };
  }
};

MatMulSpec Batched() { return {{3, 4, 5}, {3, 7, 5}, {3, 4, 7}, false, true, false, false}; }

TEST(CublasLtPlan, DescribesOperands) {
  Fake fake;
  std::unique_ptr<MatMulPlan> plan;
  ASSERT_TRUE(MatMulPlan::Make(fake.api, nullptr, Batched(), &plan).ok());
  EXPECT_EQ(fake.operations[CUBLASLT_MATMUL_DESC_TRANSA], CUBLAS_OP_T);
  EXPECT_EQ(fake.operations[CUBLASLT_MATMUL_DESC_TRANSB], CUBLAS_OP_N);
  ASSERT_EQ(fake.matrices.size(), 3u);
  const uint64_t rows[] = {5, 5, 7}, columns[] = {7, 4, 4};
  for (size_t i = 0; i < 3; ++i) {
    const Fake::Matrix& m = *fake.matrices[i];
    EXPECT_EQ(m.type, CUDA_R_32F);
    EXPECT_EQ(m.rows, rows[i]);
    EXPECT_EQ(m.columns, columns[i]);
    EXPECT_EQ(m.leading, static_cast<int64_t>(rows[i]));
    EXPECT_EQ(m.attributes.at(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT), 3);
    EXPECT_EQ(m.attributes.at(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET), static_cast<int64_t>(rows[i] * columns[i]));
  }
  EXPECT_EQ(plan->workspace(), 4096u);
  plan.reset();
  EXPECT_EQ(fake.alive, 0);
}

TEST(CublasLtPlan, AsksForOneOrderOfAdding) {
  const struct {
    bool bf16, tf32;
    cublasComputeType_t compute;
    cudaDataType factors;
  } cases[] = {
      {false, false, CUBLAS_COMPUTE_32F, CUDA_R_32F},
      {false, true, CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_32F},
      {true, true, CUBLAS_COMPUTE_32F, CUDA_R_16BF},
  };
  for (const auto& c : cases) {
    Fake fake;
    MatMulSpec s = Batched();
    s.bf16 = c.bf16, s.tf32 = c.tf32;
    std::unique_ptr<MatMulPlan> plan;
    ASSERT_TRUE(MatMulPlan::Make(fake.api, nullptr, s, &plan).ok());
    EXPECT_EQ(fake.compute, c.compute);
    EXPECT_EQ(fake.scale, CUDA_R_32F);
    EXPECT_EQ(fake.matrices[0]->type, c.factors);
    EXPECT_EQ(fake.matrices[1]->type, c.factors);
    EXPECT_EQ(fake.matrices[2]->type, CUDA_R_32F);
    EXPECT_EQ(fake.preferences[CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK], CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    EXPECT_EQ(fake.preferences[CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES], uint64_t{32} << 20);
    EXPECT_EQ(fake.preferences[CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES], 64u);
  }
}

TEST(CublasLtPlan, RunsWithTheSecondOperandFirst) {
  Fake fake;
  std::unique_ptr<MatMulPlan> plan;
  ASSERT_TRUE(MatMulPlan::Make(fake.api, nullptr, Batched(), &plan).ok());
  float a, b, y, w;
  const void* in[] = {&a, &b};
  void* out[] = {&y};
  ASSERT_TRUE(plan->Enqueue(nullptr, {in, out, &w}, nullptr).ok());
  EXPECT_EQ(fake.ran, (std::vector<const void*>{&b, &a, &y, &w}));
  EXPECT_EQ(fake.workspace, 4096u);
}

TEST(CublasLtPlan, SaysWhatItCannot) {
  Fake fake;
  fake.algorithms = 0;
  std::unique_ptr<MatMulPlan> plan;
  const Status s = MatMulPlan::Make(fake.api, nullptr, Batched(), &plan);
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_EQ(s.message(),
            "matmul [3,4,5] [3,7,5]', f32: cuBLASLt has no algorithm for it that adds up in a fixed order");
  EXPECT_EQ(fake.alive, 0);
}

}  // namespace
}  // namespace distil::cuda
