// The segmentation network's logits as what the dealiaser hears and what is shown.
//
// Classes: 0 background, 1 .. 5 folds -2 .. 2. fold_class is the fold of the largest logit (the first of equals), or
// FOLD_BACKGROUND; probability is that class's share of the softmax over all six; fold_probability is the softmax over the
// five folds alone: how probable each is if there is flow at all.
// Threads: x run of columns, y row of the image. Layout: logits [6][padded_z][padded_x], class and probability [n_z][n_x],
// fold_probability [5][n_z][n_x]. 32-bit indices: 6 * padded_z * padded_x < 2^31.
#include "row.cuh"

#define N_FOLDS 5
#define FOLD_BACKGROUND (-128)
#define LOG2_E 1.44269504f

struct ClassParams {
  int n_x, n_z, padded_x, padded_z;
  int run;  // columns per thread
};

TF_KERNEL(fold_classes, const ClassParams p, const float* __restrict__ logits, signed char* __restrict__ fold_class,
          float* __restrict__ probability, float* __restrict__ fold_probability) {
  const int plane = p.padded_z * p.padded_x, n_pixels = p.n_z * p.n_x, before = blockIdx.y * p.n_x;
  const float* in = logits + blockIdx.y * p.padded_x;
  TF_ROW(column, p.run, p.n_x) {
    const float* at = in + plane + column;
    float largest = at[0];
    int fold = 0;
    for (int k = 1; k < N_FOLDS; ++k) {
      const float here = at[k * plane];
      fold = here > largest ? k : fold;
      largest = max(largest, here);
    }
    float part[N_FOLDS], sum = 0.f;
    for (int k = 0; k < N_FOLDS; ++k) {
      part[k] = exp2_approximate((at[k * plane] - largest) * LOG2_E);
      sum += part[k];
    }
    const int pixel = before + column;
    const float scale = 1.f / sum;
    for (int k = 0; k < N_FOLDS; ++k) fold_probability[k * n_pixels + pixel] = part[k] * scale;
    // Against the background: the larger of the two is 1, so that nothing overflows.
    const float background = in[column];
    const bool is_background = background >= largest;
    const float smaller = exp2_approximate(-fabsf(background - largest) * LOG2_E);
    fold_class[pixel] = static_cast<signed char>(is_background ? FOLD_BACKGROUND : fold - N_FOLDS / 2);
    probability[pixel] = is_background ? 1.f / (1.f + smaller * sum) : 1.f / (sum + smaller);
  }
}
