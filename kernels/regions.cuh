// Shared by the dealiasing kernels: regions of continuous phase, their fold scores, and the pairs of regions that touch.
//
// Folds run from -8 to 7 (bin fold + 8), differences between two regions' folds from -7 to 7. All sums are integers in
// units of 1 / 512, so that they do not depend on the order in which threads add. Regions are numbered in the order of
// their first pixels, so that ties broken by number are broken alike however threads are scheduled.
//
// Bounds: at most max_regions regions and most_pairs pairs. A frame that needs more is not dealiased at all (`overflow`
// is set, every fold 0, confidence 0): which of its regions would be lost first must not depend on scheduling.
#pragma once
#include "math.cuh"

#define FOLD_BINS 16
#define FOLD_ZERO 8
#define MAX_FOLD 16    // of a pixel: a region's fold and its group's add up
#define STEP_BINS 16  // 15 and one that stays empty: a pair's votes fill one cache line
#define STEPS 15
#define STEP_ZERO 7
#define VOTE_UNIT 512.f
#define NO_CLASS 255

// Counters on the device: sizes that the host never reads.
#define COUNT_REGIONS 0
#define COUNT_OVERFLOW 1
#define COUNT_BEFORE 2     // flow pixels that had flow in the previous frame too
#define COUNT_AGREEMENT 3  // sum over them of cos(phase change) in units of 1 / AGREEMENT_UNIT
#define COUNT_WRAPS 4      // borders where the phase wraps
#define COUNT_CLASSES 5    // of these, where the classes step alike, less those where they step otherwise
#define COUNT_PAIRS 6      // in the table that votes go to first
#define COUNT_SPARE 7      // in the other one
#define COUNTERS 8
#define AGREEMENT_UNIT 64

// What a region sums over its pixels, [region][SUMS].
#define SUM_AREA 0
#define SUM_WALL 1
#define SUMS 2

// The second phase's votes, [region][SECOND_BINS]: folds -3 to 3, and one that stays empty.
#define SECOND_BINS 8
#define SECOND_FOLDS 7
#define SECOND_ZERO 3
// A classifier's probabilities, summed, [region][CLASS_BINS]: folds -2 to 2 in the first CLASS_FOLDS.
#define CLASS_BINS 8
#define CLASS_FOLDS 5
#define CLASS_ZERO 2
// The second phase's predictions, [coherence][phase][real, imaginary][SECOND_BINS].
#define SECOND_COHERENCES 8
#define SECOND_PHASES 64

TF_INLINE int fold_bin(int fold) { return max(0, min(FOLD_BINS - 1, fold + FOLD_ZERO)); }

// Root of a pixel in the union-find forest; other threads may be shortening it.
TF_INLINE int find_root(const int* parent, int pixel) {
  int up = atomic_read(parent + pixel);
  while (up != pixel) {
    pixel = up;
    up = atomic_read(parent + pixel);
  }
  return pixel;
}

// Walks from a region to the root of its merged group; *offset becomes fold(region) - fold(root).
TF_INLINE int find_group(const int* link, const int* link_offset, int region, int* offset) {
  int sum = 0;
  while (link[region] != region) {
    sum += link_offset[region];
    region = link[region];
  }
  *offset = sum;
  return region;
}

// Pairs of regions: open addressing, keyed by both numbers (lower first), with votes for the difference of folds
// fold(higher) - fold(lower); and a list of the pairs there are, with their slots.
struct PairTable {
  unsigned long long *keys, *listed;
  int *votes, *used, *n_used, *overflow;
};

TF_INLINE unsigned long long pair_key(int lower, int higher) {
  return (static_cast<unsigned long long>(lower + 1) << 32) | static_cast<unsigned>(higher + 1);
}
TF_INLINE int key_lower(unsigned long long key) { return static_cast<int>(key >> 32) - 1; }
TF_INLINE int key_higher(unsigned long long key) { return static_cast<int>(key & 0xffffffffu) - 1; }

// A quarter of the slots stays empty: searches end soon.
TF_INLINE int most_pairs(int n_slots) { return n_slots / 4 * 3; }

// The slot of a pair among n_slots (a power of two), taken if it is new; -1 once there are too many.
TF_INLINE int find_slot(const PairTable& table, int n_slots, int a, int b) {
  const unsigned long long key = a < b ? pair_key(a, b) : pair_key(b, a);
  // Neighbours in the image have numbers near each other, and should be near in memory; a hash of few bits spreads them.
  unsigned slot = 4u * static_cast<unsigned>(a + b) + static_cast<unsigned>((key * 0x9e3779b97f4a7c15ull) >> 60);
  while (!atomic_read(table.overflow)) {
    const int at = static_cast<int>(slot & static_cast<unsigned>(n_slots - 1));
    unsigned long long found = atomic_read(table.keys + at);  // most pairs are known: that spares the exchange
    if (found == 0ull) found = atomicCAS(table.keys + at, 0ull, key);
    if (found == 0ull) {
      const int place = atomicAdd(table.n_used, 1);
      if (place >= most_pairs(n_slots)) {
        atomicAdd(table.overflow, 1);
        return -1;
      }
      table.used[place] = at;
      table.listed[place] = key;
    }
    if (found == 0ull || found == key) return at;
    ++slot;
  }
  return -1;
}

// Adds votes for fold(b) - fold(a) = step.
TF_INLINE void vote(const PairTable& table, int n_slots, int a, int b, int step, int weight) {
  const int bin = STEP_ZERO + (a < b ? step : -step);
  if (bin < 0 || bin >= STEPS) return;
  const int slot = find_slot(table, n_slots, a, b);
  if (slot >= 0) atomicAdd(table.votes + slot * STEP_BINS + bin, weight);
}
