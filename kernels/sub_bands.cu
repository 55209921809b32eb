// Doppler of two axial sub-bands, whose phases differ by the fold times their distance in frequency.
//
// A filter pair h[m] exp(+-j w m) along depth takes an upper and a lower band out of the beamformed IQ. With
// x_c = sum_m h[m] cos(w m) x[z + m] and x_s = sum_m h[m] sin(w m) x[z + m] the bands are x_c - j x_s and x_c + j x_s.
// Where the IQ turns along depth (its carrier, as sampled by the grid), x[z + m] is turned back by carrier[m] first.
// Of each: R0 and lag-one R1. Blood that moves by u turns per pulse at f0 turns by u (1 +- df / (2 f0)) in them, so
//
//   second phase = R1_upper conj(R1_lower) / (R0_upper R0_lower),   arg = 2 pi (df / f0) u
//
// which aliases f0 / df times later than R1 does; maps.cu forms it from the averaged maps. Threads: x pixel. Rows outside the image are silent.
// Layout: x [n_z][n_x][n_ensemble] complex64, taps [2 half + 1] (h cos, h sin) and carrier alike, maps [n_z][n_x].
// 32-bit indices: n_z * n_x * n_ensemble < 2^31.
#include "packet.cuh"

struct SubBandParams {
  int n_x, n_z, n_ensemble, half;
  int has_carrier;
  int has_mask, reach_x, reach_z;  // pixels further than this from the mask are left out (all zero)
};

// Sums over slow time of one band: |y|^2, and y[k] conj(y[k - 1]) in two parts as in autocorrelate.cu.
struct BandSums {
  Packet power, aligned, crossed;
  float2 before;
};

TF_INLINE BandSums band_sums_zero() { return {packet_zero(), packet_zero(), packet_zero(), make_float2(0.f, 0.f)}; }

TF_INLINE void add_band(BandSums& sums, const Packet& y, int count) {
  float2 shifted[PACKET_WIDTH + 1];
  shifted[0] = sums.before;
  packet_store(shifted + 1, y);
  const Packet earlier = packet_load(shifted);
  sums.power += y * y;
  sums.aligned += y * earlier;
  sums.crossed += swap_parts(y) * earlier;
  sums.before = shifted[count];
}

TF_INLINE void store_band(const BandSums& sums, int n_ensemble, float* r0, float2* r1) {
  const float2 power = packet_sum(sums.power), same = packet_sum(sums.aligned), cross = packet_sum(sums.crossed);
  *r0 = (power.x + power.y) / static_cast<float>(n_ensemble);
  const float scale = 1.f / static_cast<float>(n_ensemble - 1);
  *r1 = make_float2((same.x + same.y) * scale, (cross.x - cross.y) * scale);
}

template <bool HAS_CARRIER>
TF_INLINE void filter_depth(const SubBandParams& p, const float2* taps, const float2* carrier, const float2* at,
                            int count, int first, int last, Packet& even, Packet& odd) {
  const int stride = p.n_x * p.n_ensemble;
  for (int m = first; m <= last; ++m) {
    Packet value = packet_load_part(at + m * stride, count);
    if (HAS_CARRIER) value = carrier[m + p.half].x * value + carrier[m + p.half].y * packet_times_j(value);
    even += taps[m + p.half].x * value;
    odd += taps[m + p.half].y * value;
  }
}

TF_INLINE bool near_mask(const SubBandParams& p, const unsigned char* mask, int row, int column) {
  int any = 0;
  for (int r = max(row - p.reach_z, 0); r <= min(row + p.reach_z, p.n_z - 1); ++r)
    for (int c = max(column - p.reach_x, 0); c <= min(column + p.reach_x, p.n_x - 1); ++c) any |= mask[r * p.n_x + c];
  return any != 0;
}

TF_PACKET_KERNEL(sub_bands, const SubBandParams p, const float2* __restrict__ taps,
                 const float2* __restrict__ carrier, const unsigned char* __restrict__ mask,
                 const float2* __restrict__ x, float* __restrict__ r0_upper, float2* __restrict__ r1_upper, float* __restrict__ r0_lower,
                 float2* __restrict__ r1_lower) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    const int row = pixel / p.n_x, first = max(-p.half, -row), last = min(p.half, p.n_z - 1 - row);
    BandSums upper = band_sums_zero(), lower = band_sums_zero();
    const bool needed = !p.has_mask || near_mask(p, mask, row, pixel % p.n_x);
    for (int k = 0; needed && k < p.n_ensemble; k += PACKET_WIDTH) {
      const float2* at = x + pixel * p.n_ensemble + k;
      const int count = min(PACKET_WIDTH, p.n_ensemble - k);
      Packet even = packet_zero(), odd = packet_zero();
      if (p.has_carrier)
        filter_depth<true>(p, taps, carrier, at, count, first, last, even, odd);
      else
        filter_depth<false>(p, taps, carrier, at, count, first, last, even, odd);
      const Packet turned = packet_times_j(odd);
      add_band(upper, even - turned, count);
      add_band(lower, even + turned, count);
    }
    store_band(upper, p.n_ensemble, r0_upper + pixel, r1_upper + pixel);
    store_band(lower, p.n_ensemble, r0_lower + pixel, r1_lower + pixel);
  }
}
