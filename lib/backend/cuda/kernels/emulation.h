// What stands for a grid of threads in the emulation (emulate.h).
#pragma once

#include <cstdint>
#include <functional>

namespace distil::cuda::emulation {

struct Index {
  unsigned x = 0;
};
inline thread_local Index thread, block, threads;
inline bool backwards = false;

void Run(int64_t blocks, unsigned threads, bool together, const std::function<void()>& kernel);
void Meet();  // __syncthreads

}  // namespace distil::cuda::emulation
