#include "lib/backend/cuda/kernels/device.h"

namespace distil::cuda::kernels {
namespace {

__global__ void IotaKernel(float* y, int64_t n, int64_t row) {
  const int64_t i = ThreadNumber();
  if (i < n) y[i] = static_cast<float>(i % row);
}

struct Words {
  uint32_t v[4];
};

// Philox 4x32-10 (Salmon et al., SC 2011): ten rounds, each of two wide products whose halves change places.
__device__ Words Philox(Words c, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint32_t low0 = 0xD2511F53u * c.v[0], high0 = __umulhi(0xD2511F53u, c.v[0]);
    const uint32_t low1 = 0xCD9E8D57u * c.v[2], high1 = __umulhi(0xCD9E8D57u, c.v[2]);
    c = {{high1 ^ c.v[1] ^ key0, low1, high0 ^ c.v[3] ^ key1, low0}};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return c;
}

constexpr uint32_t kDropout = 7;  // Purpose::kDropout (tests/cuda/kernels_test.cc compares the numbers)

// A thread makes four numbers of a row.
__global__ void RandomKernel(const int32_t* key, const int32_t* ids, uint32_t slot, float* y, int64_t rows,
                             int64_t width) {
  const int64_t quads = (width + 3) / 4, i = ThreadNumber();
  if (i >= rows * quads) return;
  const int64_t row = i / quads, quad = i % quads;
  const uint32_t stream = key[3] > 1 ? static_cast<uint32_t>(key[3]) - 1 : 0;
  const Words counter = {{slot << 24 ^ static_cast<uint32_t>(quad), static_cast<uint32_t>(key[2]),
                          static_cast<uint32_t>(ids[row]), kDropout | stream << 8}};
  const Words w = Philox(counter, static_cast<uint32_t>(key[0]), static_cast<uint32_t>(key[1]));
  for (int64_t k = 0; k < 4 && quad * 4 + k < width; ++k)
    y[row * width + quad * 4 + k] = static_cast<float>(w.v[k] >> 8) * (1.0f / 16777216.0f);
}

}  // namespace

Error Iota(float* y, int64_t n, int64_t row, Stream stream) {
  const int64_t blocks = BlocksFor(n);
  if (!blocks) return kTooLarge;
  DISTIL_LAUNCH(IotaKernel, blocks, kBlock, stream, y, n, row);
  return DISTIL_LAUNCH_RESULT();
}

Error Random(const int32_t* key, const int32_t* ids, uint32_t slot, float* y, int64_t rows, int64_t width,
             Stream stream) {
  const int64_t blocks = BlocksFor(rows * ((width + 3) / 4));
  if (!blocks) return kTooLarge;
  DISTIL_LAUNCH(RandomKernel, blocks, kBlock, stream, key, ids, slot, y, rows, width);
  return DISTIL_LAUNCH_RESULT();
}

}  // namespace distil::cuda::kernels
