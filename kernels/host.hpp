// The few CUDA names that Trueflow's kernels use, for a host compiler (GCC or clang, C++17), and the loop that runs a
// block's threads. The loop is opened around the inlined kernel body, where the compiler sees it: indices and
// parameters stay in registers and simple bodies vectorise over threadIdx.x.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#define __restrict__ __restrict
#define TF_INLINE static inline __attribute__((always_inline))

// Signed: the compiler may then take it that indices never wrap round, without which no loop over threads vectorises.
struct dim3 {
  int x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
TF_INLINE float2 make_float2(float x, float y) { return {x, y}; }
TF_INLINE int2 make_int2(int x, int y) { return {x, y}; }

template <class T>
TF_INLINE T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
TF_INLINE T max(T a, T b) {
  return a < b ? b : a;
}

// Relaxed, as CUDA's are: launches, not atomics, order one kernel's writes before the next one's reads.
TF_INLINE int atomicAdd(int* address, int value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }
TF_INLINE int atomicMin(int* address, int value) {
  int found = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (value < found &&
         !__atomic_compare_exchange_n(address, &found, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return found;
}
TF_INLINE unsigned long long atomicMax(unsigned long long* address, unsigned long long value) {
  unsigned long long found = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (value > found &&
         !__atomic_compare_exchange_n(address, &found, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return found;
}
TF_INLINE unsigned long long atomicCAS(unsigned long long* address, unsigned long long expected,
                                       unsigned long long value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T>
TF_INLINE T atomic_read(const T* address) {
  return __atomic_load_n(address, __ATOMIC_RELAXED);
}

// What the launcher (launcher.cpp) hands to a kernel: its share of the grid's blocks, in x-fastest order.
struct BlockRange {
  dim3 grid, block;
  int begin, end;
};

namespace trueflow {

// Arguments by value: in memory they could change with every store of the kernel's, and nothing would vectorise.
template <auto Body, class... Args>
TF_INLINE void run_blocks(const BlockRange& range, const Args... arguments) {
  const dim3 grid = range.grid, block = range.block;
  for (int linear = range.begin, end = range.end; linear < end; ++linear) {
    const dim3 blocks = {linear % grid.x, linear / grid.x % grid.y, linear / grid.x / grid.y};
    for (int z = 0; z < block.z; ++z)
      for (int y = 0; y < block.y; ++y)
        for (int x = 0; x < block.x; ++x) Body(blocks, dim3{x, y, z}, block, grid, arguments...);
  }
}

template <auto Body, class... Args, size_t... I>
TF_INLINE void run_with(const BlockRange& range, void** arguments, void (*)(dim3, dim3, dim3, dim3, Args...),
                        std::index_sequence<I...>) {
  run_blocks<Body>(range, *static_cast<std::remove_reference_t<Args>*>(arguments[I])...);
}

template <auto Body, class... Args>
TF_INLINE void run(const BlockRange& range, void** arguments, void (*body)(dim3, dim3, dim3, dim3, Args...)) {
  run_with<Body>(range, arguments, body, std::index_sequence_for<Args...>{});
}

}  // namespace trueflow

#define TF_JOIN_(a, b) a##b
#define TF_JOIN(a, b) TF_JOIN_(a, b)

// Exports `symbol`, which runs a range of blocks of the kernel whose body follows.
#define TF_HOST_KERNEL(symbol, body, ...)                                                            \
  TF_INLINE void body(const dim3 blockIdx, const dim3 threadIdx, const dim3 blockDim, const dim3 gridDim, __VA_ARGS__); \
  extern "C" __attribute__((visibility("default"))) void symbol(const BlockRange* range, void** arguments) {            \
    trueflow::run<body>(*range, arguments, body);                                                    \
  }                                                                                                  \
  TF_INLINE void body([[maybe_unused]] const dim3 blockIdx, [[maybe_unused]] const dim3 threadIdx,   \
                      [[maybe_unused]] const dim3 blockDim, [[maybe_unused]] const dim3 gridDim, __VA_ARGS__)

#define TF_KERNEL(name, ...) TF_HOST_KERNEL(name, TF_JOIN(name, _thread), __VA_ARGS__)
// A kernel on packets is compiled once per packet width; the width is part of its symbol: das_w16.
#define TF_PACKET_KERNEL(name, ...) \
  TF_HOST_KERNEL(TF_JOIN(TF_JOIN(name, _w), PACKET_WIDTH), TF_JOIN(name, _thread), __VA_ARGS__)

// See kernel.cuh. A block's first thread takes the section in a plain loop: that vectorises.
#define TF_EACH(i, count)                                                                                  \
  for (int tf_count = (count), tf_section = (tf_count + gridDim.x - 1) / gridDim.x, i = blockIdx.x * tf_section, \
           tf_end = threadIdx.x == 0 ? min(tf_count, i + tf_section) : 0;                                                         \
       i < tf_end; ++i)
// See kernel.cuh. Sums of so many neighbours stay in the first-level cache, and fill vectors of any width.
#define TF_MOST_RUN 64
#define TF_RUN(i, left) min(min(TF_MOST_RUN, (left)), tf_end - (i))
