// Every pixel takes its region's fold and confidence; where that tears the picture, the fold that fits its neighbours.
// Comes after region_merge.cu. Threads: all share the pixels (TF_EACH). Maps [n_z][n_x].
#include "regions.cuh"

struct PaintParams {
  int n_x, n_z;
  int has_borders;  // whether pixels go by their neighbours
};

// The fold that fits the neighbourhood's weighted mean best; the pixel's own where nothing around has weight.
TF_INLINE int fitting_fold(const PaintParams& p, const int* region, const int* region_fold, const float* phase_turns,
                           const float* coherence, int pixel, int mine) {
  const int row = pixel / p.n_x, column = pixel % p.n_x;
  float sum = 0.f, weight = 0.f;
  for (int r = max(row - 1, 0); r <= min(row + 1, p.n_z - 1); ++r)
    for (int c = max(column - 1, 0); c <= min(column + 1, p.n_x - 1); ++c) {
      const int other = r * p.n_x + c;
      if (region[other] < 0 || other == pixel) continue;
      sum += coherence[other] * (phase_turns[other] + static_cast<float>(region_fold[region[other]]));
      weight += coherence[other];
    }
  if (weight <= 0.f) return mine;
  return max(-MAX_FOLD, min(MAX_FOLD, nearest_int(sum / weight - phase_turns[pixel])));
}

// Pixel: the fold and confidence of its region, 0 where there is none; where a neighbour of another region is more than
// half a turn away, the fold that fits.
TF_KERNEL(region_paint, const PaintParams p, const int* __restrict__ region, const int* __restrict__ region_fold,
          const float* __restrict__ region_confidence, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const int* __restrict__ counters, signed char* __restrict__ fold,
          float* __restrict__ confidence) {
  const bool overflow = counters[COUNT_OVERFLOW] != 0;
  const int n_pixels = p.n_x * p.n_z;
  TF_EACH(pixel, n_pixels) {
    const int mine = region[pixel];
    fold[pixel] = 0;
    confidence[pixel] = 0.f;
    if (mine < 0 || overflow) continue;
    int chosen = region_fold[mine];
    const int steps[4] = {-1, 1, -p.n_x, p.n_x};
    bool torn = false;
    for (int i = 0; i < 4; ++i) {
      const int other = pixel + steps[i];
      if (other < 0 || other >= n_pixels) continue;
      const int theirs = region[other];
      if (theirs < 0 || theirs == mine || (i < 2 && other / p.n_x != pixel / p.n_x)) continue;
      const float apart = phase_turns[other] - phase_turns[pixel] + static_cast<float>(region_fold[theirs] - chosen);
      torn |= fabsf(apart) > 0.5f;
    }
    if (torn && p.has_borders) chosen = fitting_fold(p, region, region_fold, phase_turns, coherence, pixel, chosen);
    fold[pixel] = static_cast<signed char>(chosen);
    confidence[pixel] = region_confidence[mine];
  }
}
