// What the segmentation network sees: ten maps per pixel, none of which jumps where velocity wraps.
//
//   0, 1   c cos(2 pi t), c sin(2 pi t)     t = phase in turns, c = |R1| / R0
//   2      c
//   3      R0 in dB over its level, clipped to [-40, 0], / 40
//   4      B-mode envelope in dB over its level, clipped to [-60, 0], / 60
//   5..9   Re(second conj(predicted_k)), folds k = -2 .. 2 (as vote_second of region_votes.cu; 0 without a second phase)
//
// A level is the quantile that the n_above strongest of some evenly spread pixels exceed, from a histogram of the
// values' floating-point bits (8 bins an octave, interpolated). Integer atomics only, so that it does not depend on
// the order in which threads add.
// Threads: level_histogram x sampled pixel; level_quantile x map; others x run of columns, y row.
// Layout: maps [n_z][n_x]; histogram int [2][LEVEL_BINS], zeroed by the caller; tensor [10][padded_z][padded_x], whose
// padding is not written. 32-bit indices: 10 * padded_z * padded_x < 2^31.
#include "regions.cuh"
#include "row.cuh"

#define LEVEL_BINS 2048
#define LEVEL_SHIFT 20
#define POWER_RANGE_DB 40.f
#define ENVELOPE_RANGE_DB 60.f
#define DB_PER_OCTAVE 3.01029996f  // of power
#define SCORE_FOLDS 5              // -2 to 2

struct LevelParams {
  int n_x, step;                  // every so many rows and columns
  int n_sampled_x, n_sampled;     // columns, pixels that are looked at
};

TF_INLINE int level_bin(float value) { return value > 0.f ? float_bits(value) >> LEVEL_SHIFT : 0; }

TF_KERNEL(level_histogram, const LevelParams p, const float* __restrict__ r0, const float* __restrict__ envelope,
          int* __restrict__ histogram) {
  TF_EACH(sample, p.n_sampled) {
    const int pixel = (sample / p.n_sampled_x * p.n_x + sample % p.n_sampled_x) * p.step;
    atomicAdd(histogram + level_bin(r0[pixel]), 1);
    atomicAdd(histogram + LEVEL_BINS + level_bin(envelope[pixel]), 1);
  }
}

// log2 of the n_above-th value from above, a bin's values taken as evenly spread over the bin's bits.
TF_KERNEL(level_quantile, const int n_above, const int* __restrict__ histogram, float* __restrict__ level_log2) {
  const int map = blockIdx.x * blockDim.x + threadIdx.x;
  if (map >= 2) return;
  const int* counts = histogram + map * LEVEL_BINS;
  int bin = LEVEL_BINS, count = 0, in_bin = 0;
  while (bin > 0 && count < n_above) {
    in_bin = counts[--bin];
    count += in_bin;
  }
  // (count - n_above) of the bin's in_bin values lie below the wanted one.
  const unsigned long long below = static_cast<unsigned long long>(2 * (count - n_above) + 1) << LEVEL_SHIFT;
  const int part = in_bin > 0 ? static_cast<int>(below / static_cast<unsigned>(2 * in_bin)) : 0;
  level_log2[map] = log2_approximate(float_of_bits((bin << LEVEL_SHIFT) + part));
}

struct FeatureParams {
  int n_x, padded_x, padded_z;
  int run;  // columns per thread
};

// In [-1, 0]: how far a value lies below a level, over a range.
TF_INLINE float below_level(float value, float level_log2, float ranges_per_octave) {
  const float ratio = (log2_approximate(value) - level_log2) * ranges_per_octave;
  return value > 0.f ? max(min(ratio, 0.f), -1.f) : -1.f;
}

TF_KERNEL(features, const FeatureParams p, const float* __restrict__ r0, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const float* __restrict__ envelope,
          const float* __restrict__ level_log2, float* __restrict__ tensor) {
  const int before = blockIdx.y * p.n_x, plane = p.padded_z * p.padded_x;
  const float power_level = level_log2[0], envelope_level = level_log2[1];
  float* out = tensor + blockIdx.y * p.padded_x;
  TF_ROW(column, p.run, p.n_x) {
    const int pixel = before + column;
    const float c = coherence[pixel];
    float sine, cosine;
    sincos_turns(phase_turns[pixel], &sine, &cosine);
    out[column] = c * cosine;
    out[plane + column] = c * sine;
    out[2 * plane + column] = c;
    out[3 * plane + column] = below_level(r0[pixel], power_level, DB_PER_OCTAVE / POWER_RANGE_DB);
    out[4 * plane + column] = below_level(envelope[pixel], envelope_level, 2.f * DB_PER_OCTAVE / ENVELOPE_RANGE_DB);
  }
}

TF_KERNEL(second_features, const FeatureParams p, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const float2* __restrict__ second,
          const float* __restrict__ second_table, float* __restrict__ tensor) {
  const int before = blockIdx.y * p.n_x, plane = p.padded_z * p.padded_x;
  float* out = tensor + 5 * plane + blockIdx.y * p.padded_x;
  TF_ROW(column, p.run, p.n_x) {
    const int pixel = before + column;
    const float2 z = second[pixel];
    if (z.x == 0.f && z.y == 0.f) {  // most pixels: it is taken where there is flow
      for (int k = 0; k < SCORE_FOLDS; ++k) out[k * plane + column] = 0.f;
      continue;
    }
    const int c = max(0, min(SECOND_COHERENCES - 1, static_cast<int>(coherence[pixel] * SECOND_COHERENCES)));
    const int t = max(0, min(SECOND_PHASES - 1, static_cast<int>((phase_turns[pixel] + 0.5f) * SECOND_PHASES)));
    const float* predicted = second_table + (c * SECOND_PHASES + t) * 2 * SCORE_FOLDS;
    for (int k = 0; k < SCORE_FOLDS; ++k)
      out[k * plane + column] = z.x * predicted[k] + z.y * predicted[SCORE_FOLDS + k];
  }
}
