// Every pixel takes its region's fold and confidence; where that tears the picture, the fold that fits its neighbours.
// Launch order: region_paint, region_repair, after region_merge.cu. Threads: pixel. Maps [n_z][n_x].
#include "regions.cuh"

struct PaintParams {
  int n_x, n_z;
};

// Pixel: the fold and confidence of its region; 0 where there is none.
TF_KERNEL(region_paint, const PaintParams p, const int* __restrict__ region, const int* __restrict__ region_fold,
          const float* __restrict__ region_confidence, const int* __restrict__ counters, signed char* __restrict__ fold,
          float* __restrict__ confidence) {
  const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
  if (pixel >= p.n_x * p.n_z) return;
  const int mine = counters[COUNT_OVERFLOW] ? -1 : region[pixel];
  fold[pixel] = mine < 0 ? 0 : static_cast<signed char>(max(-16, min(16, region_fold[mine])));
  confidence[pixel] = mine < 0 ? 0.f : region_confidence[mine];
}

// Pixel: where a neighbour of another region is more than half a turn away, the fold that fits the neighbourhood's
// weighted mean best.
TF_KERNEL(region_repair, const PaintParams p, const int* __restrict__ region, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const int* __restrict__ counters,
          const signed char* __restrict__ fold, signed char* __restrict__ repaired) {
  const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
  if (pixel >= p.n_x * p.n_z) return;
  repaired[pixel] = fold[pixel];
  if (counters[COUNT_OVERFLOW] || region[pixel] < 0) return;
  const int row = pixel / p.n_x, column = pixel % p.n_x;
  const float mine = phase_turns[pixel] + static_cast<float>(fold[pixel]);
  const int room[4] = {column, p.n_x - 1 - column, row, p.n_z - 1 - row};
  const int step[4] = {-1, 1, -p.n_x, p.n_x};
  bool torn = false;
  for (int direction = 0; direction < 4; ++direction) {
    if (room[direction] == 0) continue;
    const int other = pixel + step[direction];
    if (region[other] < 0 || region[other] == region[pixel]) continue;
    torn |= fabsf(phase_turns[other] + static_cast<float>(fold[other]) - mine) > 0.5f;
  }
  if (!torn) return;
  float sum = 0.f, weight = 0.f;
  for (int r = max(row - 1, 0); r <= min(row + 1, p.n_z - 1); ++r)
    for (int c = max(column - 1, 0); c <= min(column + 1, p.n_x - 1); ++c) {
      const int other = r * p.n_x + c;
      if (region[other] < 0 || other == pixel) continue;
      const float theirs = phase_turns[other] + static_cast<float>(fold[other]);
      sum += coherence[other] * theirs;
      weight += coherence[other];
    }
  if (weight <= 0.f) return;
  repaired[pixel] = static_cast<signed char>(max(-16, min(16, nearest_int(sum / weight - phase_turns[pixel]))));
}
