#include "lib/backend/cuda/kernels/device.h"

namespace distil::cuda::kernels {
namespace {

struct alignas(16) Quad {
  uint32_t v[4];
};

// W: what a thread moves. words: of W in a row.
template <class W>
__global__ void GatherKernel(const W* table, const int32_t* index, W* y, int64_t rows, int64_t n, int64_t words,
                             W none) {
  const int64_t i = ThreadNumber();
  if (i >= n * words) return;
  const int64_t row = index[i / words];
  y[i] = row >= 0 && row < rows ? table[row * words + i % words] : none;
}

template <class W>
Error GatherAs(const void* table, const int32_t* index, void* y, int64_t rows, int64_t n, int64_t row_bytes, W none,
               Stream stream) {
  const int64_t words = row_bytes / static_cast<int64_t>(sizeof(W)), blocks = BlocksFor(n * words);
  if (!blocks) return kTooLarge;
  DISTIL_LAUNCH(GatherKernel<W>, blocks, kBlock, stream, static_cast<const W*>(table), index, static_cast<W*>(y), rows,
                n, words, none);
  return DISTIL_LAUNCH_RESULT();
}

// Rows with equal indices as chains in ascending order: next[i] is the next row with i's index, n at the end; first[i]
// says whether there is none before.
__global__ void ChainKernel(const int32_t* index, int32_t* next, int32_t* first, int64_t n) {
  const int64_t i = ThreadNumber();
  if (i >= n) return;
  const int32_t mine = index[i];
  int64_t before = i - 1, after = i + 1;
  while (before >= 0 && index[before] != mine) --before;
  while (after < n && index[after] != mine) ++after;
  first[i] = before < 0;
  next[i] = static_cast<int32_t>(after);
}

__global__ void ChainSumKernel(const float* x, const int32_t* index, const int32_t* next, const int32_t* first,
                               float* table, int64_t rows, int64_t n, int64_t width) {
  const int64_t t = ThreadNumber();
  if (t >= n * width) return;
  const int64_t i = t / width, column = t % width;
  if (!first[i] || index[i] < 0 || index[i] >= rows) return;
  float sum = 0;
  for (int64_t k = i; k < n; k = next[k]) sum += x[k * width + column];
  table[index[i] * width + column] = sum;
}

// Counts what comes before an element: n steps per thread, the row in the cache.
__global__ void RankKernel(const float* x, float* y, int64_t rows, int64_t n) {
  const int64_t t = ThreadNumber();
  if (t >= rows * n) return;
  const float* row = x + t / n * n;
  const int64_t i = t % n;
  const float v = row[i];
  const bool missing = v != v;
  int64_t before = 0;
  for (int64_t k = 0; k < n; ++k) {
    const float w = row[k];
    const bool same = w == v || (missing && w != w);
    before += same ? k < i : missing ? w == w : w < v;
  }
  y[t] = static_cast<float>(before);
}

}  // namespace

Error Gather(const void* table, const int32_t* index, void* y, int64_t rows, int64_t n, int64_t row_bytes,
             uint32_t none, Stream stream) {
  if (row_bytes % 16 == 0) return GatherAs(table, index, y, rows, n, row_bytes, Quad{{none, none, none, none}}, stream);
  return GatherAs(table, index, y, rows, n, row_bytes, none, stream);
}

size_t ScatterAddWorkspace(int64_t n) { return 2 * static_cast<size_t>(n) * sizeof(int32_t); }

Error ScatterAdd(const float* x, const int32_t* index, float* table, int64_t rows, int64_t n, int64_t width,
                 void* workspace, Stream stream) {
  if (n > std::numeric_limits<int32_t>::max()) return "ScatterAdd takes fewer than 2^31 rows";
  const int64_t blocks = BlocksFor(n * width);
  if (!blocks) return kTooLarge;
  int32_t *next = static_cast<int32_t*>(workspace), *first = next + n;
  if (const Error e = Clear(table, static_cast<size_t>(rows * width) * sizeof(float), stream)) return e;
  DISTIL_LAUNCH(ChainKernel, BlocksFor(n), kBlock, stream, index, next, first, n);
  if (const Error e = DISTIL_LAUNCH_RESULT()) return e;
  DISTIL_LAUNCH(ChainSumKernel, blocks, kBlock, stream, x, index, next, first, table, rows, n, width);
  return DISTIL_LAUNCH_RESULT();
}

Error Rank(const float* x, float* y, int64_t rows, int64_t n, Stream stream) {
  const int64_t blocks = BlocksFor(rows * n);
  if (!blocks) return kTooLarge;
  DISTIL_LAUNCH(RankKernel, blocks, kBlock, stream, x, y, rows, n);
  return DISTIL_LAUNCH_RESULT();
}

}  // namespace distil::cuda::kernels
