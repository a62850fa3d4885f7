// A CUDA runtime made of host memory, linked instead of the real one: one device whose streams work at once, and whose
// graphs run their nodes one by one in a random order that their edges allow. What comes out right in all orders waits
// for all that it must wait for.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>

namespace distil::cuda::fake {

struct Machine {
  int driver = CUDART_VERSION;  // 0: none
  int devices = 1, major = 9, minor = 0;
  uint32_t seed = 1;                    // of the next graph's order
  int captures = 0;                     // launches captured so far
  int graphs = 0, executables = 0;      // alive now
  size_t memory = size_t{1} << 30;      // bytes of the device
  cudaError_t at_launch = cudaSuccess;  // what launching a graph gives
  cudaError_t at_query = cudaSuccess;   // what asking for an event gives; waiting for one makes it a success
  cudaError_t last_error = cudaSuccess;
};
extern Machine machine;

// A new machine, and the fake libraries where they are found first.
void SetUp();

// What launching a kernel is here: adds a node to a capture, or runs at once.
void Enqueue(cudaStream_t stream, std::function<void()> work);
bool IsCapturing(cudaStream_t stream);

}  // namespace distil::cuda::fake
