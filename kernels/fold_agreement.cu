// Folds that a classifier's probabilities agree on across the steps of the wrapped phase.
//
// A network knows well on which side of a border of folds a neighbourhood lies, and badly where exactly the border is; the
// phase knows that to the pixel, for there it steps by nearly a turn. So every pixel asks its neighbours: one that takes
// fold f for probable speaks for fold f + round(phase - mine), weighted by its coherence. Velocities are continuous.
// Threads: x run of columns, y row of the image. Layout: maps [n_z][n_x], fold probabilities [5][n_z][n_x].
#include "row.cuh"

#define N_FOLDS 5
#define FOLD_BACKGROUND (-128)
#define AGREEMENT_REACH 2  // pixels: a window of 5 x 5
#ifdef __CUDACC__
#define CHUNK 1  // columns whose sums a thread holds
#else
#define CHUNK 64
#endif

struct AgreementParams {
  int n_x, n_z;
  int run;  // columns per thread
};

// What a neighbour says, added to the sums of one pixel. Folds beyond the classes count as the outermost.
TF_INLINE void add_neighbour(const float* fold_probability, int n_pixels, int there, float weight, float apart,
                             float (*sum)[CHUNK], int place) {
  const float up = apart > 0.5f ? weight : 0.f, down = apart < -0.5f ? weight : 0.f, same = weight - up - down;
  float share[N_FOLDS];
  for (int k = 0; k < N_FOLDS; ++k) share[k] = fold_probability[k * n_pixels + there];
  sum[0][place] += same * share[0] + down * (share[0] + share[1]);
  for (int k = 1; k < N_FOLDS - 1; ++k) sum[k][place] += same * share[k] + up * share[k - 1] + down * share[k + 1];
  sum[N_FOLDS - 1][place] += same * share[N_FOLDS - 1] + up * (share[N_FOLDS - 1] + share[N_FOLDS - 2]);
}

// The pixel's agreed folds, and with them its class and that class's probability. Background stays background.
TF_INLINE void settle(const float* fold_probability, int n_pixels, int pixel, float (*sum)[CHUNK], int place,
                      signed char* fold_class, float* probability, float* agreed) {
  float total = 0.f, largest = -1.f, own_largest = 0.f;
  int fold = 0;
  for (int k = 0; k < N_FOLDS; ++k) total += sum[k][place];
  const int is_heard = total > 0.f;
  const float scale = 1.f / max(total, 1e-37f);
  for (int k = 0; k < N_FOLDS; ++k) {
    const float own = fold_probability[k * n_pixels + pixel], heard = sum[k][place] * scale;
    const float share = is_heard ? heard : own;
    agreed[k * n_pixels + pixel] = share;
    own_largest = max(own_largest, own);
    fold = share > largest ? k : fold;
    largest = max(largest, share);
  }
  const int is_background = fold_class[pixel] == FOLD_BACKGROUND;
  const float was = probability[pixel], is_flow = was / max(own_largest, 1e-9f);  // it was that of flow and of the fold
  fold_class[pixel] = static_cast<signed char>(is_background ? FOLD_BACKGROUND : fold - N_FOLDS / 2);
  probability[pixel] = is_background ? was : min(is_flow, 1.f) * largest;
}

TF_KERNEL(fold_agreement, const AgreementParams p, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const float* __restrict__ fold_probability,
          signed char* __restrict__ fold_class, float* __restrict__ probability, float* __restrict__ agreed) {
  const int row = blockIdx.y, n_pixels = p.n_z * p.n_x, before = row * p.n_x;
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * p.run, last = min(first + p.run, p.n_x);
  for (int begin = first; begin < last; begin += CHUNK) {
    float sum[N_FOLDS][CHUNK] = {};
    const int end = min(begin + CHUNK, last);
    for (int r = max(row - AGREEMENT_REACH, 0); r <= min(row + AGREEMENT_REACH, p.n_z - 1); ++r)
      for (int d = -AGREEMENT_REACH; d <= AGREEMENT_REACH; ++d) {
        const int from = max(begin, -d), to = min(end, p.n_x - d), shift = r * p.n_x + d;
        TF_INDEPENDENT
        for (int column = from; column < to; ++column)
          add_neighbour(fold_probability, n_pixels, shift + column, coherence[shift + column],
                        phase_turns[shift + column] - phase_turns[before + column], sum, column - begin);
      }
    TF_INDEPENDENT
    for (int column = begin; column < end; ++column)
      settle(fold_probability, n_pixels, before + column, sum, column - begin, fold_class, probability, agreed);
  }
}
