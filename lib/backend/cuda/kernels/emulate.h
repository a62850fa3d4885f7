// What a kernel source sees as CUDA: the real thing under nvcc, and under a C++ compiler an emulation on the host, so
// that tests run the very kernels that a GPU runs.
//
//   DISTIL_LAUNCH(kernel, blocks, threads, stream, arguments...)            a kernel whose threads do not meet
//   DISTIL_LAUNCH_TOGETHER(kernel, blocks, threads, stream, arguments...)   one that calls __syncthreads
//
// The emulation runs a block's threads one after another; where they meet, each is a fiber that runs up to the barrier.
// `emulation::backwards` reverses the order of blocks and threads, which must not change anything.
#pragma once

#ifdef __CUDACC__

#include <cuda_runtime.h>

// What went wrong before is not the launch's.
#define DISTIL_LAUNCH(kernel, blocks, threads, stream, ...) \
  (cudaGetLastError(),                                      \
   kernel<<<static_cast<unsigned>(blocks), threads, 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__))
#define DISTIL_LAUNCH_TOGETHER DISTIL_LAUNCH
#define DISTIL_LAUNCH_RESULT() (cudaPeekAtLastError() == cudaSuccess ? nullptr : cudaGetErrorString(cudaGetLastError()))

#else

#include <cmath>
#include <cstdint>
#include <cstring>

#include "lib/backend/cuda/kernels/emulation.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __restrict__

#define threadIdx ::distil::cuda::emulation::thread
#define blockIdx ::distil::cuda::emulation::block
#define blockDim ::distil::cuda::emulation::threads
#define __syncthreads ::distil::cuda::emulation::Meet

inline uint32_t __umulhi(uint32_t a, uint32_t b) { return static_cast<uint32_t>(uint64_t{a} * b >> 32); }

#define DISTIL_LAUNCH(kernel, blocks, threads, stream, ...) \
  ((void)(stream), ::distil::cuda::emulation::Run(blocks, threads, false, [&] { kernel(__VA_ARGS__); }))
#define DISTIL_LAUNCH_TOGETHER(kernel, blocks, threads, stream, ...) \
  ((void)(stream), ::distil::cuda::emulation::Run(blocks, threads, true, [&] { kernel(__VA_ARGS__); }))
#define DISTIL_LAUNCH_RESULT() nullptr

#endif
