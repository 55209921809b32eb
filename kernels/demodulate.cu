// Channel RF to decimated IQ, slow time last.
//
//   iq[channel, m, k] = turn[m] * sum_j g[j] rf[k, channel, m D + j - center]
//   g[j] = 2 h[j] exp(-j 2 pi f_d (j - center) / f_s),   turn[m] = exp(-j 2 pi f_d (t_0 + m D / f_s))
//
// which mixes with f_d, low-passes with the real symmetric filter h and keeps every D-th sample, as one complex FIR on
// the real samples. Undersampled RF needs nothing more: f_d folds with the sampling as the echo's band does. Samples
// beyond the record count as zero.
//
// `interleave_*` first brings slow time last; IQ input needs only that. Threads: x packet (demodulate_* only), y
// fast-time sample, z channel (transmit * n_elements + element).
// Layout: input [ensemble][channel][sample]; interleaved and iq [channel][sample][n_padded], zero beyond n_ensemble.
// 32-bit indices: every array below 2^31 elements.
#include "packet.cuh"

struct DemodulateParams {
  int n_ensemble, n_padded, n_channels, n_samples;
  int n_iq_samples, decimation, n_taps;
};

// Samples per thread: a cache line on the CPU, where the pulses lie a power of two apart and evict one another if they are
// read side by side (2.4 against 0.7 ms for `femoral`); one on the GPU, where neighbouring threads share the line.
#ifdef __CUDACC__
#define INTERLEAVE_RUN 1
#else
#define INTERLEAVE_RUN 32
#endif

template <class T>
TF_INLINE void interleave(const DemodulateParams& p, int run, int channel, const T* samples, T* interleaved) {
  const int begin = run * INTERLEAVE_RUN, count = min(p.n_samples - begin, INTERLEAVE_RUN);
  const int pulse = p.n_channels * p.n_samples;
  const T* from = samples + channel * p.n_samples + begin;
  T* to = interleaved + (channel * p.n_samples + begin) * p.n_padded;
  for (int k = 0; k < p.n_ensemble; ++k)
    for (int i = 0; i < count; ++i) to[i * p.n_padded + k] = from[k * pulse + i];
  for (int k = p.n_ensemble; k < p.n_padded; ++k)
    for (int i = 0; i < count; ++i) to[i * p.n_padded + k] = T{};
}

template <class T>
TF_INLINE void demodulate(const DemodulateParams& p, int lane, int m, int channel, const float2* taps,
                          const float2* turns, const T* interleaved, float2* iq) {
  if (m >= p.n_iq_samples) return;
  const int first = m * p.decimation - p.n_taps / 2;
  const int begin = max(0, -first), end = min(p.n_taps, p.n_samples - first);
  const T* line = interleaved + (channel * p.n_samples + first) * p.n_padded + lane;
  RealPacket real = real_packet_zero(), imag = real_packet_zero();
  for (int j = begin; j < end; ++j) {
    const RealPacket x = real_packet_load(line + j * p.n_padded);
    add_scaled(real, taps[j].x, x);
    add_scaled(imag, taps[j].y, x);
  }
  const float2 turn = turns[m];
  RealPacket turned_real = real_packet_zero(), turned_imag = real_packet_zero();
  add_scaled(turned_real, turn.x, real);
  add_scaled(turned_real, -turn.y, imag);
  add_scaled(turned_imag, turn.y, real);
  add_scaled(turned_imag, turn.x, imag);
  packet_store(iq + (channel * p.n_iq_samples + m) * p.n_padded + lane, packet_from_parts(turned_real, turned_imag));
}

TF_PACKET_KERNEL(interleave_i16, const DemodulateParams p, const short* __restrict__ samples,
                 short* __restrict__ interleaved) {
  interleave(p, blockIdx.y * blockDim.y + threadIdx.y, blockIdx.z, samples, interleaved);
}

TF_PACKET_KERNEL(interleave_f32, const DemodulateParams p, const float* __restrict__ samples,
                 float* __restrict__ interleaved) {
  interleave(p, blockIdx.y * blockDim.y + threadIdx.y, blockIdx.z, samples, interleaved);
}

TF_PACKET_KERNEL(interleave_c64, const DemodulateParams p, const float2* __restrict__ samples,
                 float2* __restrict__ interleaved) {
  interleave(p, blockIdx.y * blockDim.y + threadIdx.y, blockIdx.z, samples, interleaved);
}

TF_PACKET_KERNEL(demodulate_i16, const DemodulateParams p, const float2* __restrict__ taps,
                 const float2* __restrict__ turns, const short* __restrict__ interleaved, float2* __restrict__ iq) {
  demodulate(p, threadIdx.x * PACKET_WIDTH, blockIdx.y * blockDim.y + threadIdx.y, blockIdx.z, taps, turns,
             interleaved, iq);
}

TF_PACKET_KERNEL(demodulate_f32, const DemodulateParams p, const float2* __restrict__ taps,
                 const float2* __restrict__ turns, const float* __restrict__ interleaved, float2* __restrict__ iq) {
  demodulate(p, threadIdx.x * PACKET_WIDTH, blockIdx.y * blockDim.y + threadIdx.y, blockIdx.z, taps, turns,
             interleaved, iq);
}
