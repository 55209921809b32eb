// us4R's rows of 32 channels to one line of samples per receive channel, slow time and transmits as they were fired.
//
//   line[l][s] = rows[frame[l] n_samples + s][channel[l]],   0 where channel[l] < 0, and for s < n_blank
//
// with hardware demodulation rows[..][0][channel] + i rows[..][1][channel]. The scanner writes its own notes over the
// first sample of some firings: n_blank. Threads: x run of samples, y line.
// Layout: rows [frame][sample][32], or [frame][sample][I, Q][32]; frame, channel int per line; lines [line][sample].
// 32-bit indices: both arrays below 2^31 elements.
#include "kernel.cuh"

#define ROW_CHANNELS 32

struct RemapParams {
  int n_lines, n_samples, n_blank;
};

// Samples per thread: on a GPU neighbours read neighbouring rows, whose 64 bytes the next 31 lines then find in the cache,
// and write side by side. On a CPU a thread fills a piece of a line whose rows, 8 KB, stay in the first-level cache for
// the other lines of its block.
#ifdef __CUDACC__
#define REMAP_RUN 1
#else
#define REMAP_RUN 128
#endif

TF_INLINE void remap_value(const short* row, int channel, short* value) { *value = row[channel]; }

TF_INLINE void remap_value(const short* row, int channel, float2* value) {
  *value = make_float2(static_cast<float>(row[channel]), static_cast<float>(row[ROW_CHANNELS + channel]));
}

template <int PARTS, class T>
TF_INLINE void remap(const RemapParams& p, int run, int line, const short* rows, const int* frame, const int* channel,
                     T* lines) {
  if (line >= p.n_lines) return;
  const int begin = run * REMAP_RUN, end = min(begin + REMAP_RUN, p.n_samples), from = channel[line];
  const int heard = from < 0 ? end : min(max(begin, p.n_blank), end);
  const short* row = rows + (frame[line] * p.n_samples + heard) * (PARTS * ROW_CHANNELS);
  T* to = lines + line * p.n_samples;
  for (int s = begin; s < heard; ++s) to[s] = T{};
  for (int s = heard; s < end; ++s, row += PARTS * ROW_CHANNELS) remap_value(row, from, to + s);
}

TF_KERNEL(remap_rf, const RemapParams p, const short* __restrict__ rows, const int* __restrict__ frame,
          const int* __restrict__ channel, short* __restrict__ lines) {
  remap<1>(p, blockIdx.x * blockDim.x + threadIdx.x, blockIdx.y * blockDim.y + threadIdx.y, rows, frame, channel, lines);
}

TF_KERNEL(remap_iq, const RemapParams p, const short* __restrict__ rows, const int* __restrict__ frame,
          const int* __restrict__ channel, float2* __restrict__ lines) {
  remap<2>(p, blockIdx.x * blockDim.x + threadIdx.x, blockIdx.y * blockDim.y + threadIdx.y, rows, frame, channel, lines);
}
