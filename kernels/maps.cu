// Small maps per pixel between the autocorrelation and the dealiaser: averaging in space and time, wrapped phase.
//
// box_average is one axis of a separable box filter, shrunk at the image border; blend is the recursive persistence
// average <- factor * average + (1 - factor) * map, on R0 and R1, so that velocities stay estimates and not means of wrapped
// values. Threads: x pixel. Maps [n_z][n_x].
#include "math.cuh"

struct BoxParams {
  int n_x, n_z, radius;
  int along_z;  // 1: filter along z, 0: along x
};

// Sums first, the window's rows or columns outermost: on a CPU each is then one vector loop along a run of a row.
TF_KERNEL(box_average, const BoxParams p, const float* __restrict__ r0, const float2* __restrict__ r1,
          float* __restrict__ r0_out, float2* __restrict__ r1_out) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    const int row = pixel / p.n_x, column = pixel - row * p.n_x, run = TF_RUN(pixel, p.n_x - column);
    const int top = p.along_z ? max(-p.radius, -row) : 0, bottom = p.along_z ? min(p.radius, p.n_z - 1 - row) : 0;
    const int reach = p.along_z ? 0 : p.radius;
    float power[TF_MOST_RUN] = {}, real[TF_MOST_RUN] = {}, imag[TF_MOST_RUN] = {};
    for (int r = top; r <= bottom; ++r)
      for (int d = -reach; d <= reach; ++d) {
        const int from = max(0, -d - column), to = min(run, p.n_x - d - column);
        const float* r0_there = r0 + (pixel + r * p.n_x + d);
        const float2* r1_there = r1 + (pixel + r * p.n_x + d);
        for (int i = from; i < to; ++i) {
          power[i] += r0_there[i];
          real[i] += r1_there[i].x;
          imag[i] += r1_there[i].y;
        }
      }
    for (int i = 0; i < run; ++i) {
      const int columns = min(reach, p.n_x - 1 - column - i) - max(-reach, -column - i) + 1;
      const float scale = 1.f / static_cast<float>((bottom - top + 1) * columns);
      r0_out[pixel + i] = power[i] * scale;
      r1_out[pixel + i] = make_float2(real[i] * scale, imag[i] * scale);
    }
    pixel += run - 1;
  }
}

struct BlendParams {
  int n_pixels;
  float factor;
};

TF_KERNEL(blend, const BlendParams p, const float* __restrict__ r0, const float2* __restrict__ r1,
          const float* __restrict__ r0_before, const float2* __restrict__ r1_before, float* __restrict__ r0_out,
          float2* __restrict__ r1_out) {
  TF_EACH(pixel, p.n_pixels) {
    const float keep = p.factor, take = 1.f - p.factor;
    // What is not a number must not stay for ever.
    r0_out[pixel] = finite_or_zero(keep * r0_before[pixel] + take * r0[pixel]);
    r1_out[pixel] = make_float2(finite_or_zero(keep * r1_before[pixel].x + take * r1[pixel].x),
                                finite_or_zero(keep * r1_before[pixel].y + take * r1[pixel].y));
  }
}

struct PhaseParams {
  int n_pixels;
  float velocity_per_turn;  // 2 v_N
};

// R1 / R0, of length 1 at most whatever the units of the samples; 0 where that is no number.
TF_INLINE float2 unit_phasor(float r0, float2 r1) {
  const float size = 1.f / max(max(r0, 1e-37f), max(fabsf(r1.x), fabsf(r1.y)));  // squares must not overflow
  const float power = r0 * size, real = r1.x * size, imag = r1.y * size;
  const float scale = 1.f / max(max(power, sqrtf(real * real + imag * imag)), 1e-37f);  // 0 / 0 of silence
  // Asked outright: max() of what is no number is another thing on a GPU.
  const int sound = (fabsf(r0) <= LARGEST) & (fabsf(r1.x) <= LARGEST) & (fabsf(r1.y) <= LARGEST);
  return make_float2(sound ? real * scale : 0.f, sound ? imag * scale : 0.f);
}

// phase_turns = arg(R1) / (2 pi), in [-1/2, 1/2]; wrapped velocity = 2 v_N phase_turns; coherence = |R1| / R0, at most 1.
// All are 0 where R0 or R1 is no number.
TF_KERNEL(phase_coherence, const PhaseParams p, const float* __restrict__ r0, const float2* __restrict__ r1,
          float* __restrict__ phase_turns, float* __restrict__ wrapped, float* __restrict__ coherence) {
  TF_EACH(pixel, p.n_pixels) {
    const float2 r = r1[pixel];
    const float turns = finite_or_zero(atan2_turns(r.y, r.x));
    const float2 u = unit_phasor(r0[pixel], r);
    phase_turns[pixel] = turns;
    wrapped[pixel] = p.velocity_per_turn * turns;
    coherence[pixel] = min(sqrtf(u.x * u.x + u.y * u.y), 1.f);
  }
}

// velocity = wrapped + step[fold], with step[fold] = 2 fold v_N rounded once on the host. The wrapped velocity is read
// from memory, so that no compiler fuses its product into this sum: the identity holds to the bit. Outside the mask the
// fold is 0.
TF_KERNEL(unfold, const int n_pixels, const int max_fold, const float* __restrict__ step,
          const float* __restrict__ wrapped, const unsigned char* __restrict__ mask, signed char* __restrict__ fold,
          float* __restrict__ velocity) {
  TF_EACH(pixel, n_pixels) {
    const int k = mask[pixel] ? max(min(static_cast<int>(fold[pixel]), max_fold), -max_fold) : 0;
    fold[pixel] = static_cast<signed char>(k);
    velocity[pixel] = wrapped[pixel] + step[k + max_fold];
  }
}

// The second phase (sub_bands.cu) from averaged maps; its length is the product of both bands' coherences.
TF_KERNEL(second_phase, const int n_pixels, const float* __restrict__ r0_upper, const float2* __restrict__ r1_upper,
          const float* __restrict__ r0_lower, const float2* __restrict__ r1_lower, float2* __restrict__ second) {
  TF_EACH(pixel, n_pixels) {
    const float2 a = unit_phasor(r0_upper[pixel], r1_upper[pixel]), b = unit_phasor(r0_lower[pixel], r1_lower[pixel]);
    second[pixel] = make_float2(a.x * b.x + a.y * b.y, a.y * b.x - a.x * b.y);
  }
}

// R1 / R0, of length 1 at most: the second phase where it is that of another pulse interval.
TF_KERNEL(lag_phasor, const int n_pixels, const float* __restrict__ r0, const float2* __restrict__ r1,
          float2* __restrict__ phasor) {
  TF_EACH(pixel, n_pixels) {
    phasor[pixel] = unit_phasor(r0[pixel], r1[pixel]);
  }
}

// phase + fold in turns, NaN outside the mask.
TF_KERNEL(unwrapped_turns, const int n_pixels, const float* __restrict__ phase_turns,
          const unsigned char* __restrict__ mask, const signed char* __restrict__ fold, float* __restrict__ turns) {
  TF_EACH(pixel, n_pixels) {
    const float nan = float_of_bits(0x7fc00000);
    turns[pixel] = mask[pixel] ? phase_turns[pixel] + static_cast<float>(fold[pixel]) : nan;
  }
}
