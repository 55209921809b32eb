// First include of every kernel. Under CUDA (nvcc, NVRTC) the macros below are CUDA; under a host compiler host.hpp
// supplies the same names, so that one text runs on both machines. Rules for a kernel: each thread works alone (no
// __syncthreads, no shared memory, no warp intrinsics), global atomics only, every index fits 32 bits unless said.
#pragma once

#ifdef __CUDACC__
#define TF_INLINE __device__ __forceinline__
#define TF_KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define TF_PACKET_KERNEL TF_KERNEL
// A read that another thread's atomic may be changing.
TF_INLINE int atomic_read(const int* address) { return *static_cast<const volatile int*>(address); }
#else
#include "host.hpp"
#endif

// Slow-time samples that one thread carries (see packet.cuh).
#ifndef PACKET_WIDTH
#define PACKET_WIDTH 1
#endif
