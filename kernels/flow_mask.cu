// Flow mask: where there is blood to color. Gates on power (relative to the frame's strong pixels), coherence and speed,
// within the waves' reach (0: no transmit passes); then a majority vote in a window, which takes specks out and closes
// pinholes.
//
// The power reference is a quantile of R0 over the frame, from a histogram of its floating-point bits (exponent and
// three mantissa bits: 8 bins an octave), so that one bright speck does not set it. Integer atomics only.
// Threads: x pixel (power_reference: one thread). Maps [n_z][n_x]; histogram int [2048], zeroed by the caller.
#include "math.cuh"

#define FLOW_BINS 2048

TF_INLINE int power_bin(float power) {
  return power > 0.f ? float_bits(power) >> 20 : 0;  // below 2^31 >> 20 = 2048
}

TF_KERNEL(power_histogram, const int n_pixels, const float* __restrict__ r0, int* __restrict__ histogram) {
  TF_EACH(pixel, n_pixels) {
    atomicAdd(histogram + power_bin(r0[pixel]), 1);
  }
}

// The lowest power of the bin that holds the n_above-th strongest pixel.
TF_KERNEL(power_reference, const int n_above, const int* __restrict__ histogram, float* __restrict__ reference) {
  if (blockIdx.x * blockDim.x + threadIdx.x > 0) return;
  int bin = FLOW_BINS, count = 0;
  while (bin > 0 && count < n_above) count += histogram[--bin];
  reference[0] = float_of_bits(bin << 20);
}

struct FlowGateParams {
  int n_pixels;
  float power_fraction;  // of the reference
  float coherence;       // |R1| / R0 at least
  float phase_turns;     // |arg R1| / 2 pi at least
};

TF_KERNEL(flow_gate, const FlowGateParams p, const float* __restrict__ r0, const float* __restrict__ phase_turns,
          const float* __restrict__ coherence, const float* __restrict__ reference,
          const unsigned char* __restrict__ reach, unsigned char* __restrict__ gate) {
  const float least = p.power_fraction * reference[0];
  TF_EACH(pixel, p.n_pixels) {
    const int strong = (r0[pixel] > 0.f) & (r0[pixel] >= least);
    const int fast = (coherence[pixel] >= p.coherence) & (fabsf(phase_turns[pixel]) >= p.phase_turns);
    gate[pixel] = static_cast<unsigned char>(strong & fast & (reach[pixel] != 0));
  }
}

struct MajorityParams {
  int n_x, n_z, radius;
  float fraction;  // of the window's pixels inside the image
};

// The window's count along x; `majority` adds them along z. As in maps.cu the window is outermost: vector loops on a CPU.
TF_KERNEL(count_along_x, const MajorityParams p, const unsigned char* __restrict__ gate,
          unsigned char* __restrict__ count) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    const int column = pixel % p.n_x, run = TF_RUN(pixel, p.n_x - column);
    unsigned char sum[TF_MOST_RUN] = {};
    for (int d = -p.radius; d <= p.radius; ++d) {
      const int from = max(0, -d - column), to = min(run, p.n_x - d - column);
      const unsigned char* there = gate + (pixel + d);
      for (int i = from; i < to; ++i) sum[i] = static_cast<unsigned char>(sum[i] + there[i]);
    }
    for (int i = 0; i < run; ++i) count[pixel + i] = sum[i];
    pixel += run - 1;
  }
}

// Voters beyond the reach are in the window, and against; none of them is let in.
TF_KERNEL(majority, const MajorityParams p, const unsigned char* __restrict__ count,
          const unsigned char* __restrict__ reach, unsigned char* __restrict__ mask) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    const int row = pixel / p.n_x, column = pixel - row * p.n_x, run = TF_RUN(pixel, p.n_x - column);
    const int top = max(-p.radius, -row), bottom = min(p.radius, p.n_z - 1 - row);
    int sum[TF_MOST_RUN] = {};
    for (int d = top; d <= bottom; ++d) {
      const unsigned char* there = count + (pixel + d * p.n_x);
      for (int i = 0; i < run; ++i) sum[i] += there[i];
    }
    for (int i = 0; i < run; ++i) {
      const int width = min(p.radius, p.n_x - 1 - column - i) - max(-p.radius, -column - i) + 1;
      const int most = static_cast<float>(sum[i]) > p.fraction * static_cast<float>(width * (bottom - top + 1));
      mask[pixel + i] = static_cast<unsigned char>(most & (reach[pixel + i] != 0));
    }
    pixel += run - 1;
  }
}
