// Lag-one (or lag-m) autocorrelation in slow time, its spatial averaging, and what is read off it.
//
//   R0 = mean_k |x[k]|^2,   R1 = mean_k x[k + lag] conj(x[k])          (Kasai et al. 1985, eq. 6)
//   wrapped velocity = v_N arg(R1) / pi
//
// R1 is averaged in space before its argument is taken, never after. Where pulses are staggered, R1 is a mean over those
// pairs of pulses that are one of the two intervals apart: sum_k w[k] x[k + lag] conj(x[k]). Threads: x pixel.
// Layout: x [pixel][n_ensemble] complex64; maps [n_z][n_x]. 32-bit indices: n_pixels * n_ensemble < 2^31.
#include "math.cuh"
#include "packet.cuh"

struct AutocorrelateParams {
  int n_pixels, n_ensemble, lag;
};

// With `weight`, (w[k], w[k]) for each of the n_ensemble pulses, R1 is sum_k w[k] ...; else the mean over all pairs.
template <bool WEIGHTED>
TF_INLINE void autocorrelate_pixel(const AutocorrelateParams& p, const float2* x, const float2* weight, int pixel,
                                   float* r0, float2* r1) {
  const float2* ensemble = x + pixel * p.n_ensemble;
  const int n_pairs = p.n_ensemble - p.lag, behind = (p.n_pixels - pixel) * p.n_ensemble;  // samples from here on
  Packet power = packet_zero(), aligned = packet_zero(), crossed = packet_zero();
  for (int k = 0; k < p.n_ensemble; k += PACKET_WIDTH) {
    Packet earlier = packet_load_part(ensemble + k, p.n_ensemble - k);
    const Packet later = packet_load_first(ensemble + k + p.lag, n_pairs - k, behind - k - p.lag);
    power += earlier * earlier;           // re re, im im
    if (WEIGHTED) earlier = packet_load_part(weight + k, p.n_ensemble - k) * earlier;
    aligned += later * earlier;           // re re', im im': their sum is Re(later conj(earlier))
    crossed += swap_parts(later) * earlier;  // im re', re im': their difference is Im(later conj(earlier))
  }
  const float2 total = packet_sum(power), same = packet_sum(aligned), cross = packet_sum(crossed);
  r0[pixel] = (total.x + total.y) / static_cast<float>(p.n_ensemble);
  const float scale = WEIGHTED ? 1.f : 1.f / static_cast<float>(n_pairs);
  r1[pixel] = make_float2((same.x + same.y) * scale, (cross.x - cross.y) * scale);
}

TF_PACKET_KERNEL(autocorrelate, const AutocorrelateParams p, const float2* __restrict__ x, float* __restrict__ r0,
                 float2* __restrict__ r1) {
  TF_EACH(pixel, p.n_pixels) {
    autocorrelate_pixel<false>(p, x, x, pixel, r0, r1);
  }
}

TF_PACKET_KERNEL(autocorrelate_some, const AutocorrelateParams p, const float2* __restrict__ weight,
                 const float2* __restrict__ x, float* __restrict__ r0, float2* __restrict__ r1) {
  TF_EACH(pixel, p.n_pixels) {
    autocorrelate_pixel<true>(p, x, weight, pixel, r0, r1);
  }
}

TF_PACKET_KERNEL(envelope, const AutocorrelateParams p, const float2* __restrict__ x, float* __restrict__ out) {
  TF_EACH(pixel, p.n_pixels) {
    const float2* ensemble = x + pixel * p.n_ensemble;
    Packet power = packet_zero();
    for (int k = 0; k < p.n_ensemble; k += PACKET_WIDTH) {
      const Packet value = packet_load_part(ensemble + k, p.n_ensemble - k);
      power += value * value;
    }
    const float2 total = packet_sum(power);
    out[pixel] = sqrtf((total.x + total.y) / static_cast<float>(p.n_ensemble));
  }
}
