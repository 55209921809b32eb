// Regions of continuous phase: connected pixels of the flow mask whose phase lies in the same eighth of a turn.
//
// Inside such a region neighbours differ by less than an eighth of a turn, so no fold lies between them. Union-find with
// atomicMin (Playne & Hawick 2018), no shared memory. Launch order: region_prepare, region_unite, region_flatten,
// region_count, region_number, region_spread.
// Threads: all share the pixels (TF_EACH), or row of the image where said. Maps [n_z][n_x]; phase in turns.
#include "regions.cuh"

#define N_CLASSES 8

struct LabelParams {
  int n_x, n_z, max_regions;
};

// Class of the phase (NO_CLASS outside the mask) and phasor: coherence * exp(j phase), zero outside.
TF_KERNEL(region_prepare, const LabelParams p, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const unsigned char* __restrict__ mask,
          unsigned char* __restrict__ phase_class, float2* __restrict__ phasor, int* __restrict__ parent) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    // What is not a number is no flow: it fails both comparisons.
    const int is_phase = fabsf(phase_turns[pixel]) <= 1.f, is_coherence = fabsf(coherence[pixel]) <= 2.f;
    const int is_flow = (mask[pixel] != 0) & is_phase & is_coherence;
    const float phase = is_flow ? phase_turns[pixel] : 0.f, weight = is_flow ? coherence[pixel] : 0.f;
    const int in_class = min(max(static_cast<int>((phase + 0.5f) * N_CLASSES), 0), N_CLASSES - 1);
    float sine, cosine;
    sincos_turns(phase, &sine, &cosine);
    phase_class[pixel] = static_cast<unsigned char>(is_flow ? in_class : NO_CLASS);
    phasor[pixel] = make_float2(weight * cosine, weight * sine);
    parent[pixel] = pixel;
  }
}

TF_INLINE void unite(int* parent, int a, int b) {
  for (;;) {
    a = find_root(parent, a);
    b = find_root(parent, b);
    if (a == b) return;
    if (a < b) {
      const int swap = a;
      a = b;
      b = swap;
    }
    const int found = atomicMin(parent + a, b);
    if (found == a) return;
    a = found;
  }
}

TF_KERNEL(region_unite, const LabelParams p, const unsigned char* __restrict__ phase_class, int* __restrict__ parent) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    const int mine = phase_class[pixel];
    if (mine == NO_CLASS) continue;
    const bool left = phase_class[pixel - (pixel > 0)] == mine && pixel % p.n_x > 0;
    const bool up = pixel >= p.n_x && phase_class[pixel - p.n_x] == mine;
    if (left) unite(parent, pixel, pixel - 1);
    // Left, upper left and up of one class are united by other threads already.
    if (up && !(left && phase_class[pixel - p.n_x - 1] == mine)) unite(parent, pixel, pixel - p.n_x);
  }
}

// Row: every pixel points at its root; counts the roots of the row.
TF_KERNEL(region_flatten, const LabelParams p, const unsigned char* __restrict__ phase_class, int* __restrict__ parent,
          int* __restrict__ row_count) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= p.n_z) return;
  int count = 0;
  for (int pixel = row * p.n_x; pixel < (row + 1) * p.n_x; ++pixel) {
    if (phase_class[pixel] == NO_CLASS) continue;
    const int root = find_root(parent, pixel);
    parent[pixel] = root;
    count += root == pixel;
  }
  row_count[row] = count;
}

// One thread: first number of each row.
TF_KERNEL(region_count, const LabelParams p, int* __restrict__ row_count, int* __restrict__ counters) {
  if (blockIdx.x * blockDim.x + threadIdx.x > 0) return;
  int total = 0;
  for (int row = 0; row < p.n_z; ++row) {
    const int count = row_count[row];
    row_count[row] = total;
    total += count;
  }
  counters[COUNT_WRAPS] = 0;
  counters[COUNT_CLASSES] = 0;
  counters[COUNT_PAIRS] = 0;
  counters[COUNT_SPARE] = 0;
  counters[COUNT_BEFORE] = 0;
  counters[COUNT_AGREEMENT] = 0;
  counters[COUNT_OVERFLOW] = total > p.max_regions ? 1 : 0;
  counters[COUNT_REGIONS] = total > p.max_regions ? 0 : total;
}

// Row: numbers its roots; -1 everywhere else, and everywhere on overflow.
TF_KERNEL(region_number, const LabelParams p, const unsigned char* __restrict__ phase_class,
          const int* __restrict__ parent, const int* __restrict__ row_count, const int* __restrict__ counters,
          int* __restrict__ region) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= p.n_z) return;
  int next = row_count[row];
  const bool overflow = counters[COUNT_OVERFLOW] != 0;
  for (int pixel = row * p.n_x; pixel < (row + 1) * p.n_x; ++pixel) {
    const bool root = phase_class[pixel] != NO_CLASS && parent[pixel] == pixel;
    region[pixel] = root && !overflow ? next : -1;
    next += root;
  }
}

// Every pixel takes its root's number.
TF_KERNEL(region_spread, const LabelParams p, const unsigned char* __restrict__ phase_class,
          const int* __restrict__ parent, int* __restrict__ region) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    if (phase_class[pixel] != NO_CLASS && parent[pixel] != pixel) region[pixel] = region[parent[pixel]];
  }
}
