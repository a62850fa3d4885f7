// DISTIL_HOST_DEVICE marks functions that run on the CPU and, where nvcc compiles them, on the GPU as well. They give the
// same bits on both: neither compiler joins a multiplication and an addition (-ffp-contract=off, -fmad=false), and nvcc's
// division rounds correctly.
#pragma once

#if defined(__CUDACC__)
#define DISTIL_HOST_DEVICE __host__ __device__
#else
#define DISTIL_HOST_DEVICE
#endif
