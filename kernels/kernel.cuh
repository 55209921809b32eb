// First include of every kernel. Under CUDA (nvcc, NVRTC) the macros below are CUDA; under a host compiler host.hpp
// supplies the same names, so that one text runs on both machines. Rules for a kernel: each thread works alone (no
// __syncthreads, no shared memory, no warp intrinsics), global atomics only, every index fits 32 bits unless said.
#pragma once

#ifdef __CUDACC__
#define TF_INLINE __device__ __forceinline__
#define TF_KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define TF_PACKET_KERNEL TF_KERNEL
// A read that another thread's atomic may be changing.
template <class T>
TF_INLINE T atomic_read(const T* address) {
  return *static_cast<const volatile T*>(address);
}
// Every i below a count, shared out among the blocks of a launch of any size: each block takes a section, its threads
// neighbouring places of it in turn. The count may be one that only the device knows. On a CPU: blocks of one thread.
#define TF_EACH(i, count)                                                                                      \
  for (int tf_count = (count), tf_blocks = static_cast<int>(gridDim.x),                                        \
           tf_section = (tf_count + tf_blocks - 1) / tf_blocks, tf_begin = static_cast<int>(blockIdx.x) * tf_section, \
           i = tf_begin + static_cast<int>(threadIdx.x), tf_end = min(tf_count, tf_begin + tf_section);        \
       i < tf_end; i += static_cast<int>(blockDim.x))
// Within TF_EACH: how many neighbours from i on the loop's body takes at once, at most `left` (what is left of the row);
// the body ends with i += that - 1. One on a GPU.
#define TF_MOST_RUN 1
#define TF_RUN(i, left) 1
#else
#include "host.hpp"
#endif

// Slow-time samples that one thread carries (see packet.cuh).
#ifndef PACKET_WIDTH
#define PACKET_WIDTH 1
#endif
