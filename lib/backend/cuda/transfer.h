// Transfer: copies between the host and the GPU through pinned memory, in the order of the context's stream.
//
// An upload is copied into a pinned block and goes on from there by itself: the caller waits only when all blocks are
// still on their way. So a step's inputs can be written while the step before still runs.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "lib/base/status.h"

namespace distil::cuda {

class Transfer {
 public:
  Transfer() = default;
  Transfer(const Transfer&) = delete;
  ~Transfer();  // after whatever it began has ended
  Status Open(cudaStream_t stream);

  Status Upload(void* device, const void* host, size_t bytes);
  Status Download(void* host, const void* device, size_t bytes);  // waits for the stream

 private:
  static constexpr size_t kBlocks = 8, kBytes = size_t{1} << 20;
  struct Block {
    void* memory = nullptr;
    cudaEvent_t sent = nullptr;
  };
  Block& Next() { return blocks_[next_++ % kBlocks]; }

  cudaStream_t stream_ = nullptr;
  Block blocks_[kBlocks];
  size_t next_ = 0;
};

}  // namespace distil::cuda
