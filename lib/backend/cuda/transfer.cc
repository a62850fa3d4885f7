#include "lib/backend/cuda/transfer.h"

#include <algorithm>
#include <cstring>

#include "lib/backend/cuda/context.h"

namespace distil::cuda {

Status Transfer::Open(cudaStream_t stream) {
  stream_ = stream;
  for (Block& b : blocks_) {
    DISTIL_CUDA(cudaHostAlloc(&b.memory, kBytes, cudaHostAllocDefault));
    DISTIL_CUDA(cudaEventCreateWithFlags(&b.sent, cudaEventDisableTiming));
  }
  return {};
}

Transfer::~Transfer() {
  for (Block& b : blocks_) {
    if (b.sent) cudaEventSynchronize(b.sent), cudaEventDestroy(b.sent);
    if (b.memory) cudaFreeHost(b.memory);
  }
}

Status Transfer::Upload(void* device, const void* host, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kBytes) {
    const size_t n = std::min(kBytes, bytes - at);
    Block& b = Next();
    DISTIL_CUDA(cudaEventSynchronize(b.sent));
    std::memcpy(b.memory, static_cast<const char*>(host) + at, n);
    DISTIL_CUDA(cudaMemcpyAsync(static_cast<char*>(device) + at, b.memory, n, cudaMemcpyHostToDevice, stream_));
    DISTIL_CUDA(cudaEventRecord(b.sent, stream_));
  }
  return {};
}

Status Transfer::Download(void* host, const void* device, size_t bytes) {
  // Up to all blocks are on their way at the same time.
  for (size_t at = 0; at < bytes; at += kBytes * kBlocks) {
    const size_t end = std::min(bytes, at + kBytes * kBlocks);
    const size_t first = next_;
    for (size_t p = at; p < end; p += kBytes) {
      Block& b = Next();
      DISTIL_CUDA(cudaEventSynchronize(b.sent));
      DISTIL_CUDA(cudaMemcpyAsync(b.memory, static_cast<const char*>(device) + p, std::min(kBytes, end - p),
                                  cudaMemcpyDeviceToHost, stream_));
    }
    DISTIL_CUDA(cudaStreamSynchronize(stream_));
    for (size_t p = at, i = first; p < end; p += kBytes, ++i)
      std::memcpy(static_cast<char*>(host) + p, blocks_[i % kBlocks].memory, std::min(kBytes, end - p));
  }
  return {};
}

}  // namespace distil::cuda
