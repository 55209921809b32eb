// Transcendental functions as branch-free polynomials: they vectorise on the CPU (the C library's do not) and give both
// machines the same values to rounding. Angles are in turns (1 turn = 2 pi): the range reduction is then exact.
#pragma once
#include "kernel.cuh"

#define LARGEST 3.4e38f

// 0 for what is not a number, or infinite.
TF_INLINE float finite_or_zero(float x) { return fabsf(x) <= LARGEST ? x : 0.f; }

TF_INLINE int nearest_int(float x) { return static_cast<int>(floorf(x + 0.5f)); }

TF_INLINE int float_bits(float value) {
  int bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

TF_INLINE float float_of_bits(int bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// cos and sin of 2 pi x, |error| < 2e-7 for |x| < 2^20; minimax on a quarter turn.
TF_INLINE void sincos_turns(float x, float* sine, float* cosine) {
  // r in [-1/8, 1/8] turn around the nearest quarter turn.
  const float quarter = floorf(4.f * x + 0.5f);
  const float r = x - 0.25f * quarter;
  const int quadrant = static_cast<int>(quarter);
  const float r2 = r * r;
  // Taylor coefficients of sin(2 pi r) / r and cos(2 pi r); the first dropped terms are below 4e-9 at r = 1/8.
  const float s = r * (6.28318531f + r2 * (-41.3417022f + r2 * (81.6052493f + r2 * (-76.7058598f + r2 * 42.0586940f))));
  const float c = 1.f + r2 * (-19.7392088f + r2 * (64.9393940f + r2 * (-85.4568172f + r2 * (60.2446414f))));
  const float swapped_s = quadrant & 1 ? c : s;
  const float swapped_c = quadrant & 1 ? s : c;
  *sine = quadrant & 2 ? -swapped_s : swapped_s;
  *cosine = (quadrant + 1) & 2 ? -swapped_c : swapped_c;
}

// Angle of (x, y) in turns, in [-1/2, 1/2], |error| < 6e-8; 0 for (0, 0). Odd minimax polynomial on an eighth turn.
TF_INLINE float atan2_turns(float y, float x) {
  const float ax = fabsf(x), ay = fabsf(y);
  const float large = max(ax, ay), small = min(ax, ay);
  const float t = large > 0.f ? small / large : 0.f;
  const float u = t * t;
  const float eighth =
      t * (0.159154832f +
           u * (-0.0530461222f +
                u * (0.0317459442f +
                     u * (-0.0221362654f +
                          u * (0.0153460177f + u * (-0.00889870152f + u * (0.00347958342f + u * -0.00064530049f)))))));
  const float quarter = ay > ax ? 0.25f - eighth : eighth;
  const float half = x < 0.f ? 0.5f - quarter : quarter;
  return y < 0.f ? -half : half;
}

// 2^x for x in [-126, 127], relative error < 2e-7; smaller x counts as -126. Minimax on half an octave either side.
TF_INLINE float exp2_approximate(float x) {
  const float clamped = max(x, -126.f);
  const float whole = floorf(clamped + 0.5f);
  const float f = clamped - whole;
  const float part =
      1.f +
      f * (0.693147182f +
           f * (0.240226462f + f * (0.0555032864f + f * (0.00961848907f + f * (0.00133999309f + f * 0.00015345811f)))));
  return part * float_of_bits((static_cast<int>(whole) + 127) << 23);
}

// |error| < 1e-7 + 6e-8 |log2 x|; what lies below the least normal float counts as that. x = 2^e m, m in [sqrt(1/2),
// sqrt(2)), and log2(m) = 2 / ln 2 atanh((m - 1) / (m + 1)), whose first dropped term is 4e-8.
TF_INLINE float log2_approximate(float x) {
  const int bits = float_bits(max(x, 1.17549435e-38f));
  const int exponent = (bits - 0x3f3504f3) >> 23;
  const float m = float_of_bits(bits - exponent * (1 << 23));
  const float s = (m - 1.f) / (m + 1.f), u = s * s;
  return static_cast<float>(exponent) +
         s * (2.88539008f + u * (0.961796694f + u * (0.577078016f + u * 0.412198583f)));
}
