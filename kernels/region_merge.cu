// Relative folds on the region graph, then the absolute fold of each connected group.
//
// In each round every region picks, of its borders, the one whose best step of folds stands out most from the next best
// (votes for the step plus what both regions know of their own folds), and the two are merged with that step: Boruvka's
// algorithm with evidence, all regions at once. Distinct keys (margin, then numbers) make cycles impossible. Six rounds
// join what belongs together: each at least halves the regions that still have borders.
// At the end each group takes the fold that the anchor evidence of all its regions makes most likely.
//
// Launch order: region_clear before the votes; region_evidence; per round region_best, region_link, region_merge,
// region_move (tables swap roles); then region_forget, region_anchor, region_decide.
// Threads: all share the regions or pairs, however many there are of each (TF_EACH), or one per pixel where said. Layout: scores [region][FOLD_BINS], votes [slot][STEP_BINS].
#include "regions.cuh"

struct EvidenceParams {
  float range_penalty;  // per pixel and fold beyond 2
  float merge_wall, merge_before, merge_second, merge_class;  // weights while merging
  float merge_area;     // pixels of a region from which on more of them add little
  float anchor_wall, anchor_before, anchor_second, anchor_class;
};

// Region: nothing heard yet.
TF_KERNEL(region_clear, const int* __restrict__ counters, int* __restrict__ region_sums,
          int* __restrict__ second_votes, int* __restrict__ history, int* __restrict__ class_votes,
          int* __restrict__ group_score, int* __restrict__ group_area) {
  TF_EACH(region, counters[COUNT_REGIONS]) {
    for (int i = 0; i < SUMS; ++i) region_sums[region * SUMS + i] = 0;
    for (int bin = 0; bin < SECOND_BINS; ++bin) second_votes[region * SECOND_BINS + bin] = 0;
    for (int bin = 0; bin < CLASS_BINS; ++bin) class_votes[region * CLASS_BINS + bin] = 0;
    for (int bin = 0; bin < FOLD_BINS; ++bin) {
      history[region * FOLD_BINS + bin] = 0;
      group_score[region * FOLD_BINS + bin] = 0;
    }
    group_area[region] = 0;
  }
}

// How far the previous frame can be believed: not at all where phases are as if drawn anew (the scene was cut), fully where
// most have changed little.
TF_INLINE float trust_before(const int* counters) {
  const float agreement = static_cast<float>(counters[COUNT_AGREEMENT]) /
                          static_cast<float>(AGREEMENT_UNIT * max(1, counters[COUNT_BEFORE]));
  return min(max((agreement - 0.5f) / 0.25f, 0.f), 1.f);
}

// How far a classifier can be believed: fully from one wrap in seven in which it is right, on balance; few wraps prove
// nothing.
TF_INLINE float trust_classes(const int* counters) {
  if (counters[COUNT_WRAPS] < 12) return 1.f;
  const float right = static_cast<float>(counters[COUNT_CLASSES]) / static_cast<float>(counters[COUNT_WRAPS]);
  return min(max(right / 0.15f, 0.f), 1.f);
}

// Region: what it knows of its own fold, for merging and for the anchor. Clears its links.
TF_KERNEL(region_evidence, const EvidenceParams p, const int* __restrict__ counters, const int* __restrict__ region_sums,
          const int* __restrict__ second_votes, const int* __restrict__ history, const int* __restrict__ class_votes,
          int* __restrict__ merge_score, int* __restrict__ anchor_score, int* __restrict__ link, int* __restrict__ link_offset,
          unsigned long long* __restrict__ best) {
  TF_EACH(region, counters[COUNT_REGIONS]) {
    const int* sums = region_sums + region * SUMS;
    const int* seconds = second_votes + region * SECOND_BINS;
    const float wall = static_cast<float>(sums[SUM_WALL]), area = static_cast<float>(sums[SUM_AREA]);
    const float trust = trust_before(counters), trust_class = trust_classes(counters);
    const float saturation = p.merge_area / (p.merge_area + area);
    for (int bin = 0; bin < FOLD_BINS; ++bin) {
      const int fold = bin - FOLD_ZERO;
      const float before = trust * static_cast<float>(history[region * FOLD_BINS + bin]);
      const float at_wall = fold == 0 ? wall : 0.f;
      // Folds that the second phase was not asked about take its nearest answer; the range speaks against them.
      const float second = static_cast<float>(seconds[max(0, min(SECOND_FOLDS - 1, fold + SECOND_ZERO))]);
      const int* classes = class_votes + region * CLASS_BINS;
      const float of_class =
          trust_class * static_cast<float>(classes[max(0, min(CLASS_FOLDS - 1, fold + CLASS_ZERO))]);
      const float beyond = p.range_penalty * VOTE_UNIT * area * static_cast<float>(max(0, abs(fold) - 2));
      const float merging = p.merge_wall * at_wall + p.merge_before * before + p.merge_second * second +
                            p.merge_class * of_class;
      const float anchor = p.anchor_wall * at_wall + p.anchor_before * before + p.anchor_second * second +
                           p.anchor_class * of_class;
      merge_score[region * FOLD_BINS + bin] = nearest_int(saturation * merging - beyond);
      anchor_score[region * FOLD_BINS + bin] = nearest_int(anchor - beyond);
    }
    link[region] = region;
    link_offset[region] = 0;
    best[region] = 0ull;
  }
}

// Best step of a pair and by how much it leads; ties go to the smaller step, then to the lower one.
TF_INLINE int best_step(const int* votes, const int* lower_score, const int* higher_score, int* margin) {
  // All steps side by side; folds beyond the range are out of the question.
  int padded[2 * FOLD_BINS], score[FOLD_BINS];
  for (int i = 0; i < FOLD_BINS; ++i) padded[i] = padded[i + FOLD_BINS] = score[i] = -(1 << 29);
  for (int bin = 0; bin < FOLD_BINS; ++bin) padded[bin + STEP_ZERO] = higher_score[bin];
  for (int bin = 0; bin < FOLD_BINS; ++bin)
    for (int step = 0; step < FOLD_BINS; ++step) score[step] = max(score[step], lower_score[bin] + padded[bin + step]);
  for (int step = 0; step < STEPS; ++step) score[step] += votes[step];
  int best = -2147483647, second = best, chosen = 0;
  for (int turn = 0; turn < STEPS; ++turn) {
    const int step = turn & 1 ? -(turn + 1) / 2 : turn / 2;  // 0, -1, 1, -2, 2, ...
    second = max(second, min(best, score[step + STEP_ZERO]));
    if (score[step + STEP_ZERO] > best) {
      best = score[step + STEP_ZERO];
      chosen = step;
    }
  }
  *margin = best - second;
  return chosen;
}

struct RoundParams {
  int n_slots;
  int pairs, spare;  // which counters count the pairs of this round's table and of the next one's
};

// Pairs to work on: none in a frame that had too many.
TF_INLINE int pairs_of(const RoundParams& p, const int* counters) {
  return counters[COUNT_OVERFLOW] ? 0 : counters[p.pairs];
}

TF_INLINE unsigned long long rank_of(int margin, int lower, int higher) {
  const unsigned long long capped = static_cast<unsigned long long>(min(max(margin, 0), (1 << 24) - 1));
  // The lower numbers win ties; numbers are below 2^20.
  return (capped << 40) | (static_cast<unsigned long long>(0xfffff - lower) << 20) |
         static_cast<unsigned long long>(0xfffff - higher);
}

// Pair: offers itself to both its regions; remembers its step. Empties the list of the next table.
TF_KERNEL(region_best, const RoundParams p, const unsigned long long* __restrict__ listed, const int* __restrict__ votes,
          const int* __restrict__ used, const int* __restrict__ merge_score, int* __restrict__ counters,
          unsigned long long* __restrict__ best, unsigned long long* __restrict__ rank, int* __restrict__ step) {
  counters[p.spare] = 0;
  TF_EACH(i, pairs_of(p, counters)) {
    const int lower = key_lower(listed[i]), higher = key_higher(listed[i]);
    int margin;
    step[i] = best_step(votes + used[i] * STEP_BINS, merge_score + lower * FOLD_BINS,
                        merge_score + higher * FOLD_BINS, &margin);
    rank[i] = 0ull;
    if (margin <= 0) continue;  // no step stands out: the two stay apart
    rank[i] = rank_of(margin, lower, higher);
    atomicMax(best + lower, rank[i]);
    atomicMax(best + higher, rank[i]);
  }
}

// Pair: a region hangs under the other one of the pair it picked; where both picked it, the higher under the lower.
TF_KERNEL(region_link, const RoundParams p, const unsigned long long* __restrict__ listed,
          const int* __restrict__ counters, const unsigned long long* __restrict__ best,
          const unsigned long long* __restrict__ rank, const int* __restrict__ step, int* __restrict__ link,
          int* __restrict__ link_offset, int* __restrict__ link_margin, int* __restrict__ linked) {
  TF_EACH(i, pairs_of(p, counters)) {
    if (rank[i] == 0ull) continue;
    const int lower = key_lower(listed[i]), higher = key_higher(listed[i]);
    const bool by_higher = best[higher] == rank[i];
    if (!by_higher && best[lower] != rank[i]) continue;
    const int under = by_higher ? higher : lower;
    link[under] = by_higher ? lower : higher;
    link_offset[under] = by_higher ? step[i] : -step[i];
    link_margin[under] = static_cast<int>(rank[i] >> 40);
    linked[under] = 1;
  }
}

// Region: one that was just linked adds what it knows to the root of its group. Roots get their `best` cleared.
TF_KERNEL(region_merge, const int* __restrict__ counters, const int* __restrict__ link,
          const int* __restrict__ link_offset, int* __restrict__ linked, unsigned long long* __restrict__ best,
          int* __restrict__ merge_score) {
  TF_EACH(region, counters[COUNT_REGIONS]) {
    best[region] = 0ull;
    if (!linked[region]) continue;
    linked[region] = 0;
    int offset;
    const int root = find_group(link, link_offset, region, &offset);
    for (int bin = 0; bin < FOLD_BINS; ++bin) {
      const int own = max(0, min(FOLD_BINS - 1, bin + offset));
      atomicAdd(merge_score + root * FOLD_BINS + bin, merge_score[region * FOLD_BINS + own]);
    }
  }
}

// Pair: moves to the other table under the roots of its regions, its steps shifted; pairs inside a group vanish.
TF_KERNEL(region_move, const RoundParams p, const int* __restrict__ link, const int* __restrict__ link_offset,
          unsigned long long* __restrict__ keys, const unsigned long long* __restrict__ listed, int* __restrict__ votes,
          const int* __restrict__ used, unsigned long long* __restrict__ next_keys,
          unsigned long long* __restrict__ next_listed, int* __restrict__ next_votes, int* __restrict__ next_used,
          int* __restrict__ counters) {
  const PairTable next = {next_keys, next_listed, next_votes, next_used, counters + p.spare, counters + COUNT_OVERFLOW};
  TF_EACH(i, pairs_of(p, counters)) {
    int lower_offset, higher_offset, *mine = votes + used[i] * STEP_BINS;
    const int lower = find_group(link, link_offset, key_lower(listed[i]), &lower_offset);
    const int higher = find_group(link, link_offset, key_higher(listed[i]), &higher_offset);
    const int to = lower == higher ? -1 : find_slot(next, p.n_slots, lower, higher);
    for (int bin = 0; bin < STEPS && to >= 0; ++bin) {
      // fold(higher root) - fold(lower root) = step + offset of the lower - offset of the higher.
      const int step = bin - STEP_ZERO + lower_offset - higher_offset;
      const int moved = STEP_ZERO + (lower < higher ? step : -step);
      if (mine[bin] && moved >= 0 && moved < STEPS) atomicAdd(next_votes + to * STEP_BINS + moved, mine[bin]);
    }
    for (int bin = 0; bin < STEP_BINS; ++bin) mine[bin] = 0;
    keys[used[i]] = 0ull;
  }
}

// Pair: what the rounds did not join is forgotten. After a frame that had too many, so is everything.
TF_KERNEL(region_forget, const RoundParams p, const int* __restrict__ counters, unsigned long long* __restrict__ keys,
          int* __restrict__ votes, const int* __restrict__ used) {
  const bool all = counters[COUNT_OVERFLOW] != 0;
  TF_EACH(i, all ? p.n_slots : counters[p.pairs]) {
    const int slot = all ? i : used[i];
    keys[slot] = 0ull;
    for (int bin = 0; bin < STEP_BINS; ++bin) votes[slot * STEP_BINS + bin] = 0;
  }
}

// Region: adds its anchor evidence to its group's; the smallest fold wins where there is none.
TF_KERNEL(region_anchor, const int* __restrict__ counters, const int* __restrict__ link,
          const int* __restrict__ link_offset, const int* __restrict__ region_sums,
          const int* __restrict__ anchor_score, int* __restrict__ group_score, int* __restrict__ group_area) {
  TF_EACH(region, counters[COUNT_REGIONS]) {
    int offset;
    const int root = find_group(link, link_offset, region, &offset), area = region_sums[region * SUMS + SUM_AREA];
    for (int bin = 0; bin < FOLD_BINS; ++bin) {
      const int own = bin + offset, fold = own - FOLD_ZERO;
      const int score = anchor_score[region * FOLD_BINS + max(0, min(FOLD_BINS - 1, own))];
      atomicAdd(group_score + root * FOLD_BINS + bin, score - area * abs(fold) / 16);
    }
    atomicAdd(group_area + root, area);
  }
}

// Probability that a group's fold is right, by how far it leads the next best one (votes), and that a region's fold
// relative to its group is, by the least margin on the way to its root. Both curves were fitted to the validation scenes:
// noise in the lead grows with the square root of the area.
TF_INLINE float right_group(int lead, int area) {
  const float x = static_cast<float>(lead) / (0.6f * VOTE_UNIT);
  return 1.f - 0.45f / (1.f + x * x / static_cast<float>(max(area, 1)));
}
TF_INLINE float right_link(int margin) {
  const float x = static_cast<float>(margin) / (2.5f * VOTE_UNIT);
  return 1.f - 0.12f / (1.f + x * x);
}

// Region: its fold and the confidence in it.
TF_KERNEL(region_decide, const int* __restrict__ counters, const int* __restrict__ link,
          const int* __restrict__ link_offset, const int* __restrict__ link_margin,
          const int* __restrict__ group_score, const int* __restrict__ group_area, int* __restrict__ region_fold,
          float* __restrict__ region_confidence) {
  TF_EACH(region, counters[COUNT_REGIONS]) {
    int offset;
    const int root = find_group(link, link_offset, region, &offset);
    int best = -2147483647, second = best, chosen = 0;
    for (int turn = 0; turn < FOLD_BINS; ++turn) {
      const int fold = turn & 1 ? -(turn + 1) / 2 : turn / 2;
      const int score = group_score[root * FOLD_BINS + fold + FOLD_ZERO];
      if (score > best) {
        second = best;
        best = score;
        chosen = fold;
      } else {
        second = max(second, score);
      }
    }
    int margin = 1 << 24;
    for (int at = region; link[at] != at; at = link[at]) margin = min(margin, link_margin[at]);
    region_fold[region] = max(-MAX_FOLD, min(MAX_FOLD, chosen + offset));
    region_confidence[region] = right_group(best - second, group_area[root]) * right_link(margin);
  }
}
