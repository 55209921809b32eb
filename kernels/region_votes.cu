// What the pixels say about their regions and about the borders between them, as integer votes.
//
// Border of pixels i and j (right or below, of different regions): the phase should step by the local slope
// g = arg(sum over 3 x 3 of conj(z) z[+1]); d = phase_j - phase_i - g misses that by m = round(d) whole turns, so
// fold_j - fold_i = -m, with weight a_i a_j (1 - 2 |d - m|). Slopes, not smoothed phases: smoothing kills thin strips. Where
// the neighbour is no flow, the next flow pixel within BRIDGE votes, the less the further it is: this bridges dropouts and
// the rings where a clutter filter takes away velocities at multiples of 2 v_N.
// Wall: a pixel beside a long run without flow is at a vessel's wall, where flow is slow: it votes for fold 0.
//
// Threads: `run` pixels of a row, a multiple of VOTE_RUN; sums are kept while the region stays the same and for VOTE_RUN
// pixels at most, so that they are the same whatever the run, then added atomically.
// Layout: maps [n_z][n_x]; region_sums [region][SUMS]; history [region][FOLD_BINS].
#include "regions.cuh"

#define VOTE_RUN 64
#define BRIDGE 14
#define LONGEST 1.01f  // of a second phase, or a probability: what is more, or no number, says nothing
#define FARTHEST 64.f  // turns of a previous frame
#define SMALL_STEP 0.15f  // turns
#define SECOND_ROWS 2      // one row in so many hears the second phase: it was averaged over three

struct VoteParams {
  int n_x, n_z, n_slots, wall_run;
  int run;
  int has_borders;  // whether borders vote
  int has_second;   // whether a second phase is given
  int has_before;   // whether the previous frame's unwrapped phase is given
  int has_classes;  // whether a classifier's probabilities are given
};

// exp(2 pi j slope) of the phasors around a pixel in the direction of `step` (pixels); not normalised.
TF_INLINE float2 slope_at(const VoteParams& p, const float2* phasor, int row, int column, int d_row, int d_column) {
  float real = 0.f, imag = 0.f;
  for (int r = max(row - 1, 0); r <= min(row + 1, p.n_z - 1 - d_row); ++r)
    for (int c = max(column - 1, 0); c <= min(column + 1, p.n_x - 1 - d_column); ++c) {
      const float2 a = phasor[r * p.n_x + c], b = phasor[(r + d_row) * p.n_x + c + d_column];
      real += a.x * b.x + a.y * b.y;
      imag += a.x * b.y - a.y * b.x;
    }
  return make_float2(real, imag);
}

TF_INLINE void vote_border(const VoteParams& p, const float* phase, const float2* phasor, const float* coherence,
                           const int* region, const PairTable& table, int row, int column, int d_row, int d_column) {
  const int pixel = row * p.n_x + column, mine = region[pixel];
  const int reach = min(BRIDGE, d_row ? p.n_z - 1 - row : p.n_x - 1 - column);
  for (int t = 1; t <= reach; ++t) {
    const int other = pixel + t * (d_row * p.n_x + d_column), theirs = region[other];
    if (theirs < 0) continue;
    if (theirs == mine) return;
    float slope = 0.f, weight = 4.f / static_cast<float>(t * t);
    // A small step has no fold in it whatever the slope: that spares most borders the window.
    const float apart = phase[other] - phase[pixel];
    if (t == 1 && fabsf(apart - static_cast<float>(nearest_int(apart))) > SMALL_STEP) {
      const float2 g = slope_at(p, phasor, row, column, d_row, d_column);
      slope = atan2_turns(g.y, g.x);
    }
    if (t == 1) weight = 1.f;
    const float d = apart - slope;
    const int m = nearest_int(d);
    weight *= coherence[pixel] * coherence[other] * (1.f - 2.f * fabsf(d - static_cast<float>(m))) + 0.02f;
    vote(table, p.n_slots, mine, theirs, -m, nearest_int(weight * VOTE_UNIT));
    return;
  }
}

// The fold that a classifier expects at a pixel.
TF_INLINE int expected_class(const float* classes, int n_pixels, int pixel) {
  float mean = 0.f;
  for (int k = 0; k < CLASS_FOLDS; ++k) mean += static_cast<float>(k - CLASS_ZERO) * classes[k * n_pixels + pixel];
  return fabsf(mean) <= FOLD_BINS ? nearest_int(mean) : 0;
}

// Where the phase wraps from one pixel to the next the classes should step with it: a classifier that is dead or upside
// down is found out by this.
TF_INLINE void watch_classes(const VoteParams& p, const float* phase, const int* region, const float* classes, int row,
                             int column, int d_row, int d_column, int* wraps, int* agreed) {
  if (row + d_row >= p.n_z || column + d_column >= p.n_x) return;
  const int pixel = row * p.n_x + column, other = pixel + d_row * p.n_x + d_column;
  if (region[other] < 0) return;
  const int step = -nearest_int(phase[other] - phase[pixel]);
  if (step == 0) return;
  const int n_pixels = p.n_x * p.n_z;
  const int stepped = expected_class(classes, n_pixels, other) - expected_class(classes, n_pixels, pixel);
  ++*wraps;
  *agreed += stepped == step ? 1 : stepped == 0 ? 0 : -1;
}

// Whether no flow lies within wall_run pixels in one of the four directions; the image's border is no wall.
TF_INLINE bool beside_wall(const VoteParams& p, const int* region, int row, int column) {
  const int pixel = row * p.n_x + column;
  const int room[4] = {column, p.n_x - 1 - column, row, p.n_z - 1 - row};
  const int step[4] = {-1, 1, -p.n_x, p.n_x};
  for (int direction = 0; direction < 4; ++direction) {
    if (room[direction] < p.wall_run || region[pixel + step[direction]] >= 0) continue;
    int t = 2;
    while (t <= p.wall_run && region[pixel + t * step[direction]] < 0) ++t;
    if (t > p.wall_run) return true;
  }
  return false;
}

// How well a second phase agrees with what each fold predicts: Re(second conj(prediction)).
TF_INLINE void vote_second(float2 second, float phase, float coherence, const float* table, float* seconds) {
  if (!(fabsf(second.x) <= LONGEST) || !(fabsf(second.y) <= LONGEST)) return;
  const int c = max(0, min(SECOND_COHERENCES - 1, static_cast<int>(coherence * SECOND_COHERENCES)));
  const int t = max(0, min(SECOND_PHASES - 1, static_cast<int>((phase + 0.5f) * SECOND_PHASES)));
  const float* predicted = table + (c * SECOND_PHASES + t) * 2 * SECOND_BINS;
  for (int bin = 0; bin < SECOND_BINS; ++bin)
    seconds[bin] += second.x * predicted[bin] + second.y * predicted[SECOND_BINS + bin];
}

// A run's sums to its region's, rounded once.
TF_INLINE void flush_floats(int* sums, float* run, int count, float unit) {
  for (int bin = 0; bin < count; ++bin) {
    const int votes = nearest_int(run[bin] * unit);
    if (votes) atomicAdd(sums + bin, votes);
    run[bin] = 0.f;
  }
}

TF_KERNEL(region_votes, const VoteParams p, const float* __restrict__ phase_turns, const float2* __restrict__ phasor,
          const float* __restrict__ coherence, const int* __restrict__ region, const float2* __restrict__ second,
          const float* __restrict__ second_table, const float* __restrict__ before_turns,
          const float* __restrict__ classes, unsigned long long* __restrict__ keys,
          unsigned long long* __restrict__ listed, int* __restrict__ votes, int* __restrict__ used,
          int* __restrict__ region_sums, int* __restrict__ second_votes, int* __restrict__ history,
          int* __restrict__ class_votes, int* __restrict__ counters) {
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  const int begin = (blockIdx.x * blockDim.x + threadIdx.x) * p.run, end = min(begin + p.run, p.n_x);
  if (row >= p.n_z || begin >= p.n_x) return;
  const PairTable table = {keys, listed, votes, used, counters + COUNT_PAIRS, counters + COUNT_OVERFLOW};
  const bool has_second = p.has_second && row % SECOND_ROWS == 0;
  int current = -1, area = 0, wall = 0, n_before = 0, agreement = 0;
  int wraps = 0, agreed = 0;
  float seconds[SECOND_BINS] = {}, class_sums[CLASS_BINS] = {};
  for (int column = begin; column <= end; ++column) {
    const int pixel = row * p.n_x + column, mine = column == end ? -1 : region[pixel];
    if ((mine != current || column % VOTE_RUN == 0) && current >= 0) {
      atomicAdd(region_sums + current * SUMS + SUM_AREA, area);
      if (wall) atomicAdd(region_sums + current * SUMS + SUM_WALL, wall);
      if (has_second)
        flush_floats(second_votes + current * SECOND_BINS, seconds, SECOND_FOLDS, SECOND_ROWS * VOTE_UNIT);
      if (p.has_classes) flush_floats(class_votes + current * CLASS_BINS, class_sums, CLASS_FOLDS, VOTE_UNIT);
      area = wall = 0;
    }
    current = mine;
    if (mine < 0) continue;
    const float phase = phase_turns[pixel];
    ++area;
    if (p.has_borders) {
      vote_border(p, phase_turns, phasor, coherence, region, table, row, column, 0, 1);
      vote_border(p, phase_turns, phasor, coherence, region, table, row, column, 1, 0);
    }
    if (beside_wall(p, region, row, column))
      wall += nearest_int((1.f - 2.f * fabsf(phase)) * coherence[pixel] * VOTE_UNIT);
    if (has_second) vote_second(second[pixel], phase, coherence[pixel], second_table, seconds);
    if (p.has_classes) {
      for (int k = 0; k < CLASS_FOLDS; ++k) {
        const float share = classes[k * p.n_x * p.n_z + pixel];
        if (share >= 0.f && share <= LONGEST) class_sums[k] += share;
      }
      watch_classes(p, phase_turns, region, classes, row, column, 0, 1, &wraps, &agreed);
      watch_classes(p, phase_turns, region, classes, row, column, 1, 0, &wraps, &agreed);
    }
    if (p.has_before && fabsf(before_turns[pixel]) <= FARTHEST) {  // NaN: there was no flow
      const float apart = before_turns[pixel] - phase;
      const int fold = nearest_int(apart);
      float sine, cosine;
      sincos_turns(apart, &sine, &cosine);
      ++n_before;
      agreement += nearest_int(cosine * AGREEMENT_UNIT);
      const float closeness = 1.f - 2.f * fabsf(apart - static_cast<float>(fold));
      atomicAdd(history + mine * FOLD_BINS + fold_bin(fold), nearest_int(closeness * closeness * VOTE_UNIT));
    }
  }
  if (wraps) {
    atomicAdd(counters + COUNT_WRAPS, wraps);
    atomicAdd(counters + COUNT_CLASSES, agreed);
  }
  if (n_before) {
    atomicAdd(counters + COUNT_BEFORE, n_before);
    atomicAdd(counters + COUNT_AGREEMENT, agreement);
  }
}
