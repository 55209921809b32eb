// Delay-and-sum of a whole ensemble, with coherent compounding over transmits.
//
//   out[pixel, k] = scale[pixel] * sum_t sum_e w_e(pixel) exp(+j 2 pi f_d tau) iq[t, e, f_iq (tau - t_0), k]
//   tau = tau_transmit(t, pixel) + |pixel - element e| / c
//
// (linear interpolation in fast time; f_d demodulation frequency; t_0 receive start). Receive aperture: element e sees
// the pixel at angle alpha from its normal and takes part where |tan(alpha)| <= 1 / (2 f_number), weighted by a Tukey
// window of that ratio (taper 0: boxcar, 1: Hann).
//
// Threads of `das`: x packet within the ensemble, y and z pixel within a tile (block) of columns x depths; the grid's x
// and y count tiles. Threads of `das_aperture`: x pixel.
// Layout: iq [transmit][element][sample][n_padded] complex64, n_padded a multiple of PACKET_WIDTH; out [pixel]
// [n_ensemble]; pixels row by row (n_z, n_x); elements float4 (x, z, sin, cos of the normal's angle from +z), padded
// by DAS_CHUNK. Lengths in metres. 32-bit indices: n_transmits * n_elements * n_samples * n_padded < 2^31.
#include "math.cuh"
#include "packet.cuh"

// Elements whose delays and weights are computed together: a vector's worth on the CPU, one on the GPU.
#ifdef __CUDACC__
#define DAS_CHUNK 1
#else
#define DAS_CHUNK 16
#endif

struct DasParams {
  int n_x, n_z, n_elements, n_elements_padded, n_transmits, n_samples, n_ensemble, n_padded;
  float inverse_sound_speed;     // s/m
  float sampling_frequency_hz;   // of iq
  float demodulation_frequency_hz;
  float rx_start_s;
  float inverse_half_aperture;   // 2 f_number: |tan(alpha)| times this is 1 at the aperture's edge
  float taper;                   // of the Tukey window, > 0
};

// Wave of one transmit: kind 0 plane: distance = x * a + z * b; kind +-1 virtual source at (a, b):
// distance = kind * |pixel - source|. offset (m) makes it the path from the transmit reference.
struct Transmit {
  float a, b, kind, offset;
};

TF_INLINE float transmit_distance(const Transmit& t, float x, float z) {
  if (t.kind == 0.f) return x * t.a + z * t.b + t.offset;
  const float dx = x - t.a, dz = z - t.b;
  return t.kind * sqrtf(dx * dx + dz * dz) + t.offset;
}

// Tukey window of the position in the aperture, u in [0, 1]; 0 outside.
TF_INLINE float aperture_weight(float u, float taper) {
  const float t = min(max((u - (1.f - taper)) / taper, 0.f), 1.f);
  // (1 + cos(pi t)) / 2 = cos^2(pi t / 2), and cos(pi t / 2) / (1 - t^2) is nearly flat: |error| < 2e-9 before rounding,
  // 0 exactly at the edge.
  const float v = t * t;
  const float c = (1.f - v) * (1.f + v * (-0.233700538f + v * (0.0199688006f + v * (-0.00089391218f + v * 2.38250277e-5f))));
  return c * c;
}

// Position of a pixel at (dx, dz) from an element whose normal points to (sine, cosine): 0 axis, 1 edge of the aperture.
TF_INLINE float aperture_position(float dx, float dz, float sine, float cosine, float inverse_half_aperture) {
  const float depth = dx * sine + dz * cosine;
  const float lateral = dx * cosine - dz * sine;
  return depth > 0.f ? fabsf(lateral) * inverse_half_aperture / depth : 2.f;
}

TF_PACKET_KERNEL(das_aperture, const DasParams p, const float* __restrict__ pixel_x, const float* __restrict__ pixel_z,
          const float* __restrict__ elements, int2* __restrict__ range, float* __restrict__ scale) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    int first = p.n_elements, end = 0;
    float energy = 0.f;
    for (int e = 0; e < p.n_elements; ++e) {
      const float w = aperture_weight(
          aperture_position(pixel_x[pixel] - elements[e], pixel_z[pixel] - elements[p.n_elements_padded + e],
                            elements[2 * p.n_elements_padded + e], elements[3 * p.n_elements_padded + e],
                            p.inverse_half_aperture),
          p.taper);
      energy += w * w;
      if (w > 0.f) {
        first = min(first, e);
        end = e + 1;
      }
    }
    range[pixel] = make_int2(first, end);
    scale[pixel] = energy > 0.f ? 1.f / sqrtf(energy * static_cast<float>(p.n_transmits)) : 0.f;
  }
}

TF_PACKET_KERNEL(das, const DasParams p, const Transmit* __restrict__ transmits, const float* __restrict__ pixel_x,
                 const float* __restrict__ pixel_z, const float* __restrict__ elements,
                 const int2* __restrict__ range, const float* __restrict__ scale, const float2* __restrict__ iq,
                 float2* __restrict__ out) {
  const int lane = threadIdx.x * PACKET_WIDTH;
  const int column = blockIdx.x * blockDim.y + threadIdx.y;
  const int row = blockIdx.y * blockDim.z + threadIdx.z;
  if (column >= p.n_x || row >= p.n_z) return;
  const int pixel = row * p.n_x + column;
  const float x = pixel_x[pixel], z = pixel_z[pixel];
  const int first = range[pixel].x, end = range[pixel].y;
  const float *element_x = elements, *element_z = elements + p.n_elements_padded;
  const float *element_sin = element_z + p.n_elements_padded, *element_cos = element_sin + p.n_elements_padded;
  const float last_sample = static_cast<float>(p.n_samples - 1);

  Packet real = packet_zero(), imag = packet_zero();
  for (int t = 0; t < p.n_transmits; ++t) {
    const float outward = transmit_distance(transmits[t], x, z);
    const float2* line = iq + t * p.n_elements * p.n_samples * p.n_padded + lane;
    for (int start = first; start < end; start += DAS_CHUNK) {
      int at[DAS_CHUNK];
      float fraction[DAS_CHUNK], weight_real[DAS_CHUNK], weight_imag[DAS_CHUNK];
      for (int i = 0; i < DAS_CHUNK; ++i) {
        const float dx = x - element_x[start + i], dz = z - element_z[start + i];
        const float tau = (outward + sqrtf(dx * dx + dz * dz)) * p.inverse_sound_speed;
        const float position = (tau - p.rx_start_s) * p.sampling_frequency_hz;
        const float inside = min(max(position, 0.f), last_sample - 1e-3f);
        float w = aperture_weight(aperture_position(dx, dz, element_sin[start + i], element_cos[start + i],
                                                     p.inverse_half_aperture), p.taper);
        w = position >= 0.f && position < last_sample && start + i < end ? w : 0.f;
        const int sample = static_cast<int>(inside);
        at[i] = (min(start + i, p.n_elements - 1) * p.n_samples + min(sample, p.n_samples - 2)) * p.n_padded;
        fraction[i] = inside - static_cast<float>(sample);
        float sine, cosine;
        sincos_turns(tau * p.demodulation_frequency_hz, &sine, &cosine);
        weight_real[i] = w * cosine;
        weight_imag[i] = w * sine;
      }
      const int count = min(end - start, DAS_CHUNK);
      for (int i = 0; i < count; ++i) {
        const Packet below = packet_load(line + at[i]);
        const Packet above = packet_load(line + at[i] + p.n_padded);
        const Packet value = below + fraction[i] * (above - below);
        real += weight_real[i] * value;
        imag += weight_imag[i] * value;
      }
    }
  }
  packet_store_part(out + pixel * p.n_ensemble + lane, scale[pixel] * packet_complex(real, imag),
                    p.n_ensemble - lane);
}
