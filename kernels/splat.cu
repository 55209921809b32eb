// Point scatterers to beamformed IQ without the detour over channels: each adds the imaging system's point response.
//
//   iq[k, p] = sum_s a_s exp(-rho^2 / (2 sigma_z^2) - (dx / sigma_x)^2 / 2) exp(-j 2 pi (2 / lambda) rho)
//   rho = u . (s - p),   dx = x_s - x_p
//
// u is half the sum of the unit vectors of transmit and mean receive direction: what an echo's delay and phase follow
// (a Gaussian approximation to delay-and-sum's response, as in Gao et al. 2009's convolution model). u and 1 / sigma_x are
// maps over the grid, taken at the scatterer's nearest pixel. Nothing is added beyond 4 sigma.
//
// Threads: x rows of the image, by SPLAT_ROWS, y slow-time sample. Each owns its rows of its image: no atomics, and the sum's
// order is the scatterers'. Layout: scatterers [pulse][scatterer]; maps [n_z][n_x]; iq [pulse][n_z][n_x + 2 SPLAT_MARGIN].
// 32-bit indices. The grid is uniform.
#include "math.cuh"

#define SPLAT_ROWS 16
#define SPLAT_MARGIN 16
#ifdef __CUDACC__
#define SPLAT_CHUNK 1
#else
#define SPLAT_CHUNK 16
#endif

struct SplatParams {
  int n_scatterers, n_pulses, n_z, n_x;
  float x0, z0, inverse_dx, inverse_dz, dx, dz;  // first pixel (m), pixels per metre, metres per pixel
  float inverse_sigma_z;                         // 1/m, along u
  float turns_per_m;                             // 2 / lambda
};

// `count` columns of one row (at most a chunk), from one scatterer at (x, z) from the first of them.
TF_INLINE void splat_row(const SplatParams& p, float x, float z, float amplitude, float ux, float uz,
                         float inverse_sigma_x, int count, float2* out) {
  float real[SPLAT_CHUNK], imag[SPLAT_CHUNK];
  for (int i = 0; i < SPLAT_CHUNK; ++i) {
    const float lateral = x - static_cast<float>(i) * p.dx;
    const float rho = ux * lateral + uz * z;
    const float a = rho * p.inverse_sigma_z, b = lateral * inverse_sigma_x;
    const float decay = exp2_approximate(-0.721347520f * (a * a + b * b));  // log2(e) / 2
    const float weight = i < count ? amplitude * decay : 0.f;
    float sine, cosine;
    sincos_turns(rho * p.turns_per_m, &sine, &cosine);
    real[i] = weight * cosine;
    imag[i] = -weight * sine;
  }
  for (int i = 0; i < SPLAT_CHUNK; ++i) {
    out[i].x += real[i];
    out[i].y += imag[i];
  }
}

TF_KERNEL(splat, const SplatParams p, const float* __restrict__ x, const float* __restrict__ z,
          const float* __restrict__ amplitude, const float* __restrict__ u_x, const float* __restrict__ u_z,
          const float* __restrict__ inverse_sigma_x, float2* __restrict__ iq) {
  const int first_row = (blockIdx.x * blockDim.x + threadIdx.x) * SPLAT_ROWS;
  const int pulse = blockIdx.y * blockDim.y + threadIdx.y;
  if (first_row >= p.n_z || pulse >= p.n_pulses) return;
  const int end_row = min(first_row + SPLAT_ROWS, p.n_z), stride = p.n_x + 2 * SPLAT_MARGIN;
  float2* image = iq + pulse * p.n_z * stride + SPLAT_MARGIN;
  for (int s = pulse * p.n_scatterers; s < (pulse + 1) * p.n_scatterers; ++s) {
    const float column = (x[s] - p.x0) * p.inverse_dx, row = (z[s] - p.z0) * p.inverse_dz;
    // Far outside nothing reaches the image; clamping first keeps the conversion to int defined.
    if (!(column > -256.f && column < p.n_x + 256.f && row > -256.f && row < p.n_z + 256.f)) continue;
    const int near_column = min(max(static_cast<int>(column + 0.5f), 0), p.n_x - 1);
    const int near_row = min(max(static_cast<int>(row + 0.5f), 0), p.n_z - 1);
    const int at = near_row * p.n_x + near_column;
    const float half_columns = 4.f * p.inverse_dx / inverse_sigma_x[at];
    // Along a row's column dx, rho = 0 lies |u_x / u_z| dx away in depth.
    const float tilt = fabsf(u_x[at] / u_z[at]) * half_columns * p.dx * p.inverse_dz;
    const float half_rows = 4.f * p.inverse_dz / (p.inverse_sigma_z * fabsf(u_z[at])) + tilt;
    const int top = max(static_cast<int>(row - half_rows), first_row);
    const int bottom = min(static_cast<int>(row + half_rows) + 1, end_row - 1);
    const int left = max(static_cast<int>(column - half_columns), 0);
    const int right = min(static_cast<int>(column + half_columns) + 1, p.n_x - 1);
    for (int r = top; r <= bottom; ++r)
      for (int c = left; c <= right; c += SPLAT_CHUNK)
        splat_row(p, x[s] - p.x0 - static_cast<float>(c) * p.dx, z[s] - p.z0 - static_cast<float>(r) * p.dz,
                  amplitude[s], u_x[at], u_z[at], inverse_sigma_x[at], right - c + 1, image + r * stride + c);
  }
}
