// Kernels whose threads take a run of a row's pixels: the whole row on a CPU, where the compiler vectorises the loop, and
// one pixel on a GPU, where there is no loop. Iterations must not depend on each other, and no two arrays overlap.
#pragma once
#include "math.cuh"

#if defined(__CUDACC__)
#define TF_INDEPENDENT
#elif defined(__clang__)
#define TF_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TF_INDEPENDENT _Pragma("GCC ivdep")
#endif

// Columns of this thread: `run` of them, below n_x.
#define TF_ROW(column, run, n_x)                                                                                   \
  const int tf_first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * (run), tf_last = min(tf_first + (run), (n_x)); \
  TF_INDEPENDENT                                                                                                   \
  for (int column = tf_first; column < tf_last; ++column)
