// Channel RF of point scatterers: each echo is added to its element's line with its exact, fractional delay.
//
//   rf[t, e, m] = sum_i A_tei pulse(t_0 + m / f_s - tau_tei),  tau = (transmit path + |scatterer - element|) / c
//   A = amplitude * beam_t * D(theta) / sqrt(max(r, r_min)) * exp(-attenuation c tau)
//
// r is the distance to the element (cylindrical spreading, as in a plane), theta the angle from its normal, and
// D(theta) = sinc(width sin(theta) / lambda) cos(theta) that of an element in a soft baffle (Selfridge, Kino &
// Khuri-Yakub 1980), 0 behind it. beam_t is 1 between the rays through the array's ends, falls to 0 over a few wavelengths there, and spreads as a
// cylinder from virtual sources: a sum over transmitting elements would cost as many times more. Left out are the waves
// from the array's ends, its grating lobes in transmit, and directivity's change within the band.
//
// The sum over scatterers is made by gridding (a nonuniform FFT's first step: Barnett, Magland & af Klinteberg 2019):
// an echo is SPREAD_WIDTH additions onto a line of cells, however long the pulse; then one filter per line turns the
// spreading kernel into the pulse:
//
//   cells[c] = sum_i A_i phi(c - s_i),   rf[m] = gain[m] sum_j taps[j] cells[oversampling m + j]
//
// taps are fitted so that sum_j taps[j] phi(j - d) is the pulse at d (pulse.py: error and choice of oversampling).
// Attenuation depends on tau alone and is the gain over time, exactly, as the pulse is fitted with the inverse slope.
//
// Threads: scatter_insonify x scatterer, y transmit; scatter_spread x element, y transmit, who own their line;
// scatter_filter x sample, y line (transmit * n_elements + element). No order of addition depends on the launch.
// Layout: echoes [transmit][x, z, path, amplitude][n_padded]; elements [x, z, sin, cos of the normal][n_elements];
// spreading [SPREAD_PHASES][value, slope][SPREAD_WIDTH]; cells [line][n_cells]; rf [line][n_samples]. Lengths in m.
// 32-bit indices: 4 n_transmits n_padded, n_lines n_cells and n_lines n_samples below 2^31.
#include "math.cuh"

// Scatterers whose delays are computed together: a vector's worth on the CPU, one on the GPU.
#ifdef __CUDACC__
#define SCATTER_CHUNK 1
#else
#define SCATTER_CHUNK 16
#endif
#define SPREAD_WIDTH 8
#define SPREAD_PHASES 64
#define DIRECTIVITY_TERMS 12
#define FILTER_CHUNK 16

struct ScatterParams {
  int n_elements, n_samples, n_cells, n_taps, oversampling;
  float cells_per_m;   // of path
  float first_cell_m;  // path of the first cell's echo
  float least_range_m;
};

// A wave and its beam. kind 0: plane, along (a, b); kind +-1: from or towards (a, b). offset (m) makes the distance the
// path from the transmit reference. The beam is center +- half across (plane: m along the wavefront; else turns around
// the source), with an edge of 1 / inverse_edge; reference_m is where a source's wave has unit amplitude.
struct ScatterWave {
  float a, b, kind, offset, center, half, inverse_edge, reference_m;
};

TF_KERNEL(scatter_insonify, const ScatterParams p, const int n_scatterers, const int n_padded,
          const ScatterWave* __restrict__ waves, const float* __restrict__ x_m, const float* __restrict__ z_m,
          const float* __restrict__ amplitude, float* __restrict__ echoes) {
  const int slot = blockIdx.x * blockDim.x + threadIdx.x;
  if (slot >= n_padded) return;
  // Neighbours in the caller's order land far apart: a line's additions to the same cells wait for one another.
  const int i = (slot % SCATTER_CHUNK) * (n_padded / SCATTER_CHUNK) + slot / SCATTER_CHUNK;
  float* out = echoes + 4 * blockIdx.y * n_padded + slot;
  const bool present = i < n_scatterers;
  const float x = present ? x_m[i] : 0.f, z = present ? z_m[i] : 0.f;
  const ScatterWave w = waves[blockIdx.y];
  float path = x * w.a + z * w.b, across = x * w.b - z * w.a, level = 1.f;
  if (w.kind != 0.f) {
    const float dx = x - w.a, dz = z - w.b;
    const float distance = sqrtf(dx * dx + dz * dz);
    path = w.kind * distance;
    across = atan2_turns(w.kind * dx, w.kind * dz);
    level = sqrtf(w.reference_m / max(distance, p.least_range_m));
  }
  const float edge = (fabsf(across - w.center) - w.half) * w.inverse_edge + 0.5f;
  float s, c;
  sincos_turns(0.25f * min(max(0.f, edge), 1.f), &s, &c);  // max(0, not a number) is 0
  out[0] = x;
  out[n_padded] = z;
  out[2 * n_padded] = path + w.offset - p.first_cell_m;
  out[3 * n_padded] = present && edge < 1.f ? amplitude[i] * level * c * c : 0.f;
}

// Horner's rule, opened by the compiler: a loop here would keep the loop around it from being vectorised.
template <int Terms>
TF_INLINE float polynomial(const float* terms, float u) {
  if constexpr (Terms == 1)
    return terms[0];
  else
    return terms[0] + u * polynomial<Terms - 1>(terms + 1, u);
}

TF_KERNEL(scatter_spread, const ScatterParams p, const int n_padded, const float* __restrict__ echoes,
          const float* __restrict__ elements, const float* __restrict__ directivity,
          const float* __restrict__ spreading, float* __restrict__ cells) {
  const int e = blockIdx.x * blockDim.x + threadIdx.x;
  if (e >= p.n_elements) return;
  const float x_e = elements[e], z_e = elements[p.n_elements + e];
  const float sine = elements[2 * p.n_elements + e], cosine = elements[3 * p.n_elements + e];
  const float *x = echoes + 4 * blockIdx.y * n_padded, *z = x + n_padded;
  const float *path = z + n_padded, *amplitude = path + n_padded;
  const float end = static_cast<float>(p.n_cells - SPREAD_WIDTH);
  float* __restrict__ line = cells + (blockIdx.y * p.n_elements + e) * p.n_cells;
  for (int c = 0; c < p.n_cells; ++c) line[c] = 0.f;

  float terms[DIRECTIVITY_TERMS];
  for (int k = 0; k < DIRECTIVITY_TERMS; ++k) terms[k] = directivity[k];

  for (int start = 0; start < n_padded; start += SCATTER_CHUNK) {
    int cell[SCATTER_CHUNK], row[SCATTER_CHUNK];
    float beyond[SCATTER_CHUNK], weight[SCATTER_CHUNK];
    int heard = 0;
    for (int i = 0; i < SCATTER_CHUNK; ++i) {
      const float dx = x[start + i] - x_e, dz = z[start + i] - z_e;
      const float r = sqrtf(dx * dx + dz * dz);
      const float inverse_r = 1.f / max(r, p.least_range_m);
      const float cos_theta = max(dx * sine + dz * cosine, 0.f) * inverse_r;
      const float u = 1.f - cos_theta * cos_theta;
      const float w = amplitude[start + i] * cos_theta * polynomial<DIRECTIVITY_TERMS>(terms, u) * sqrtf(inverse_r);
      const float position = (path[start + i] + r) * p.cells_per_m;
      const int inside = position >= 0.f && position < end;
      const float s = min(max(0.f, position), end);
      cell[i] = static_cast<int>(s);
      const float phase = (s - static_cast<float>(cell[i])) * SPREAD_PHASES;
      const int whole = static_cast<int>(phase);
      row[i] = whole * (2 * SPREAD_WIDTH);
      beyond[i] = phase - static_cast<float>(whole);
      weight[i] = inside ? w : 0.f;
      heard |= inside;
    }
    if (!heard) continue;
    for (int i = 0; i < SCATTER_CHUNK; ++i) {
      const float* value = spreading + row[i];
      float* at = line + cell[i];
      float sum[SPREAD_WIDTH];
      for (int k = 0; k < SPREAD_WIDTH; ++k)
        sum[k] = at[k] + weight[i] * (value[k] + beyond[i] * value[SPREAD_WIDTH + k]);
      for (int k = 0; k < SPREAD_WIDTH; ++k) at[k] = sum[k];
    }
  }
}

TF_KERNEL(scatter_filter, const ScatterParams p, const int accumulate, const float* __restrict__ taps,
          const float* __restrict__ gain, const float* __restrict__ cells, float* __restrict__ rf) {
  const int m = blockIdx.x * blockDim.x + threadIdx.x;
  if (m >= p.n_samples) return;
  const float* from = cells + blockIdx.y * p.n_cells + p.oversampling * m;
  // Partial sums in a fixed order, which a vector can hold.
  float sum[FILTER_CHUNK] = {};
  for (int j = 0; j < p.n_taps; j += FILTER_CHUNK)
    for (int i = 0; i < FILTER_CHUNK; ++i) sum[i] += taps[j + i] * from[j + i];
  for (int half = FILTER_CHUNK / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) sum[i] += sum[i + half];
  const int at = blockIdx.y * p.n_samples + m;
  rf[at] = (accumulate ? rf[at] : 0.f) + gain[m] * sum[0];
}
