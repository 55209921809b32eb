// Point scatterers to beamformed IQ without the detour over channels: each adds the imaging system's point response.
//
//   iq[k, p] = sum_s a_s exp(-rho^2 / (2 sigma_z^2) - (dx / sigma_x)^2 / 2) exp(-j 2 pi (2 / lambda) rho)
//   rho = u . (s - p),   dx = x_s - x_p
//
// u is half the sum of the unit vectors of transmit and mean receive direction: what an echo's delay and phase follow
// (a Gaussian approximation to delay-and-sum's response, as in Gao et al. 2009's convolution model). u and 1 / sigma_x are
// maps over the grid, taken at the scatterer's nearest pixel. Nothing is added beyond 4 sigma.
//
// Along a column both the decay and the phase change by a factor that itself changes by a constant factor from row to row:
//
//   w[r + 1] = q[r] turn w[r],   q[r + 1] = exp(-d^2) q[r],   d = u_z dz / sigma_z,   turn = exp(j 2 pi (2 / lambda) u_z dz)
//
// so exponentials and sines are computed once a column, at the row nearest the response's middle, from where it goes up
// and down: with the groups below, 0.2 instead of 0.9 s for 16 pulses of `femoral` on two cores.
//
// Threads: x rows of the image, by rows_per_thread, y slow-time sample. Each owns its rows of its image: no atomics, and
// the sum's order is the scatterers'. A group of SPLAT_GROUP scatterers that lies wholly above or below is passed over.
// Layout: scatterers [pulse][scatterer]; groups [pulse][group] (least, largest z); maps [n_z][n_x]; iq
// [pulse][n_z][real, imaginary][n_x + 2 SPLAT_MARGIN]. 32-bit indices. The grid is uniform.
#include "math.cuh"

#define SPLAT_MARGIN 16
#define SPLAT_GROUP 64
#ifdef __CUDACC__
#define SPLAT_CHUNK 1
#else
#define SPLAT_CHUNK 16
#endif

struct SplatParams {
  int n_scatterers, n_groups, n_pulses, n_z, n_x, rows_per_thread;
  float x0, z0, inverse_dx, inverse_dz, dx, dz;  // first pixel (m), pixels per metre, metres per pixel
  float inverse_sigma_z;                         // 1/m, along u
  float turns_per_m;                             // 2 / lambda
  float reach_m;                                 // no response is taller than this on either side
};

// A chunk of columns at one row: what a scatterer adds, and its ratio to the next row's, but for the turn.
struct SplatColumns {
  float real[SPLAT_CHUNK], imag[SPLAT_CHUNK], ratio[SPLAT_CHUNK];
};

// Rows first, first + step, ..., `count` of them; `change` is the ratio's own.
TF_INLINE void splat_rows(SplatColumns w, float change, float cosine, float sine, int count, int stride, int step, float* out) {
  for (int r = 0; r < count; ++r, out += step)
    for (int i = 0; i < SPLAT_CHUNK; ++i) {
      out[i] += w.real[i];
      out[stride + i] += w.imag[i];
      const float real = w.ratio[i] * (w.real[i] * cosine - w.imag[i] * sine);
      w.imag[i] = w.ratio[i] * (w.real[i] * sine + w.imag[i] * cosine);
      w.real[i] = real;
      w.ratio[i] *= change;
    }
}

struct SplatResponse {
  float ux, uz, inverse_sigma_x, amplitude;
};

// The first `count` columns of a chunk, of a middle row and those above and below; (x, z) from its first column there.
TF_INLINE void splat_chunk(const SplatParams& p, const SplatResponse& s, float x, float z, int count, int above, int below,
                           float* out) {
  constexpr float log2_e = 1.44269504f;
  const float step = s.uz * p.dz * p.inverse_sigma_z, change = exp2_approximate(-log2_e * step * step);
  SplatColumns down, up;
  for (int i = 0; i < SPLAT_CHUNK; ++i) {
    const float lateral = x - static_cast<float>(i) * p.dx;
    const float rho = s.ux * lateral + s.uz * z;
    const float a = rho * p.inverse_sigma_z, b = lateral * s.inverse_sigma_x;
    const float weight = i < count ? s.amplitude * exp2_approximate(-0.5f * log2_e * (a * a + b * b)) : 0.f;
    const float next = log2_e * step * (a - 0.5f * step);
    const float ratio = exp2_approximate(min(max(next, -100.f), 100.f));
    float sine, cosine;
    sincos_turns(rho * p.turns_per_m, &sine, &cosine);
    down.real[i] = up.real[i] = weight * cosine;
    down.imag[i] = up.imag[i] = -weight * sine;
    down.ratio[i] = ratio;
    up.ratio[i] = change / ratio;
  }
  float sine, cosine;
  sincos_turns(s.uz * p.dz * p.turns_per_m, &sine, &cosine);
  const int stride = p.n_x + 2 * SPLAT_MARGIN;
  splat_rows(down, change, cosine, sine, below + 1, stride, 2 * stride, out);
  if (above == 0) return;
  // The middle row is done: one step up first.
  for (int i = 0; i < SPLAT_CHUNK; ++i) {
    const float real = up.ratio[i] * (up.real[i] * cosine + up.imag[i] * sine);
    up.imag[i] = up.ratio[i] * (up.imag[i] * cosine - up.real[i] * sine);
    up.real[i] = real;
    up.ratio[i] *= change;
  }
  splat_rows(up, change, cosine, -sine, above, stride, -2 * stride, out - 2 * stride);
}

TF_INLINE void splat_one(const SplatParams& p, float x, float z, float amplitude, int first_row, int end_row,
                         const float* u_x, const float* u_z, const float* inverse_sigma_x, float* image) {
  const float column = (x - p.x0) * p.inverse_dx, row = (z - p.z0) * p.inverse_dz;
  // Far outside nothing reaches the image; checking first keeps the conversion to int defined.
  if (!(column > -256.f && column < p.n_x + 256.f && row > -256.f && row < p.n_z + 256.f)) return;
  const int near_column = min(max(static_cast<int>(column + 0.5f), 0), p.n_x - 1);
  const int near_row = min(max(static_cast<int>(row + 0.5f), 0), p.n_z - 1);
  const int at = near_row * p.n_x + near_column;
  const SplatResponse s = {u_x[at], u_z[at], inverse_sigma_x[at], amplitude};
  const float half_columns = 4.f * p.inverse_dx / s.inverse_sigma_x;
  const int left = max(static_cast<int>(column - half_columns), 0);
  const int right = min(static_cast<int>(column + half_columns) + 1, p.n_x - 1);
  const float tall = 4.f * p.inverse_dz / (p.inverse_sigma_z * fabsf(s.uz));
  // Along a row's column dx, rho = 0 lies slope columns' rows away in depth.
  const float slope = s.ux / s.uz * p.dx * p.inverse_dz;
  const int stride = p.n_x + 2 * SPLAT_MARGIN;
  for (int c = left; c <= right; c += SPLAT_CHUNK) {
    const int count = min(right - c + 1, SPLAT_CHUNK);
    const float half = 0.5f * static_cast<float>(count - 1);
    const float peak = row + slope * (column - static_cast<float>(c) - half), reach = tall + fabsf(slope) * half;
    const int top = max(static_cast<int>(floorf(peak - reach)), first_row);
    const int bottom = min(static_cast<int>(floorf(peak + reach)) + 1, end_row - 1);
    if (top > bottom) continue;
    const int middle = min(max(static_cast<int>(floorf(peak + 0.5f)), top), bottom);
    splat_chunk(p, s, x - p.x0 - static_cast<float>(c) * p.dx, z - p.z0 - static_cast<float>(middle) * p.dz, count,
                middle - top, bottom - middle, image + 2 * middle * stride + c);
  }
}

TF_KERNEL(splat, const SplatParams p, const float* __restrict__ x, const float* __restrict__ z,
          const float* __restrict__ amplitude, const float2* __restrict__ groups, const float* __restrict__ u_x,
          const float* __restrict__ u_z, const float* __restrict__ inverse_sigma_x, float* __restrict__ iq) {
  const int first_row = (blockIdx.x * blockDim.x + threadIdx.x) * p.rows_per_thread;
  const int pulse = blockIdx.y * blockDim.y + threadIdx.y;
  if (first_row >= p.n_z || pulse >= p.n_pulses) return;
  const int end_row = min(first_row + p.rows_per_thread, p.n_z);
  const float least = p.z0 + static_cast<float>(first_row) * p.dz - p.reach_m;
  const float largest = p.z0 + static_cast<float>(end_row - 1) * p.dz + p.reach_m;
  float* image = iq + 2 * pulse * p.n_z * (p.n_x + 2 * SPLAT_MARGIN) + SPLAT_MARGIN;
  for (int g = 0; g < p.n_groups; ++g) {
    const float2 depths = groups[pulse * p.n_groups + g];
    if (depths.x > largest || depths.y < least) continue;
    const int end = min((g + 1) * SPLAT_GROUP, p.n_scatterers);
    for (int i = g * SPLAT_GROUP; i < end; ++i) {
      const int s = pulse * p.n_scatterers + i;
      if (!(z[s] < largest && z[s] > least)) continue;
      splat_one(p, x[s], z[s], amplitude[s], first_row, end_row, u_x, u_z, inverse_sigma_x, image);
    }
  }
}
