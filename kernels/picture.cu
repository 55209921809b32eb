// A color frame as an RGB image: B-mode in gray, color velocity over it where there is flow.
//
// An image pixel lies among four pixels of the grid, its corners k, with bilinear weights w_k:
//   gray   = floor(255 clip(sum w_k s_k, 0, 1)),   s = at_1 + per_octave log2(max(envelope, floor))
//   flow:  where the corners with flow have sum w_k >= 1/2
//   v      = the mean, by w_k, of the corners with flow within `apart` of the heaviest one of them
//   color  = colors[round(middle (1 + clip(v < 0 ? v / -low : v / high, -1, 1)))]
//
// Corners without flow have no say in v, nor have those across a fold: blending them would draw a seam of velocities that
// nothing has.
// Threads: picture_shades x grid pixel; picture x run of image pixels.
// Layout: maps [n_z][n_x]; corner int, fraction float [2] planes (depth, lateral), image unsigned char [3], each
// [image pixel]; corner: grid pixel above and left, negative outside the grid (black). 32-bit indices: 3 * n_pixels < 2^31.
#include "math.cuh"
#include "row.cuh"

struct ShadeParams {
  int n_pixels;
  float floor;  // of the envelope, > 0
  float at_1, per_octave;
};

TF_KERNEL(picture_shades, const ShadeParams p, const float* __restrict__ envelope, float* __restrict__ shades) {
  TF_EACH(pixel, p.n_pixels) {
    shades[pixel] = p.at_1 + p.per_octave * log2_approximate(max(finite_or_zero(envelope[pixel]), p.floor));
  }
}

struct PictureParams {
  int n_pixels, n_x;  // of the image; columns of the grid
  int run;
  int in_color;
  float apart, low, high;  // low < 0 < high
  int middle;              // entry of rest
};

#ifdef __CUDACC__
#define PICTURE_RUN 1
#else
#define PICTURE_RUN 64
#endif

struct Corners {
  int place[4];
  float weight[4];
};

TF_INLINE Corners corners_of(const PictureParams& p, const int* corner, const float* fraction, int pixel) {
  const int at = corner[pixel];
  const float down = fraction[pixel], right = fraction[p.n_pixels + pixel];
  return {{at, at + 1, at + p.n_x, at + p.n_x + 1},
          {(1.f - down) * (1.f - right), (1.f - down) * right, down * (1.f - right), down * right}};
}

TF_INLINE float shade_of(const Corners& c, const float* shades) {
  return c.weight[0] * shades[c.place[0]] + c.weight[1] * shades[c.place[1]] + c.weight[2] * shades[c.place[2]] +
         c.weight[3] * shades[c.place[3]];
}

// Velocity where the pixel shows flow.
TF_INLINE bool flow_at(const PictureParams& p, const Corners& c, const float* velocity, const unsigned char* mask,
                       float* shown) {
  float share = 0.f, heaviest = -1.f, nearest = 0.f;
  for (int k = 0; k < 4; ++k) {
    if (!mask[c.place[k]]) continue;
    share += c.weight[k];
    if (c.weight[k] > heaviest) {
      heaviest = c.weight[k];
      nearest = velocity[c.place[k]];
    }
  }
  if (share < 0.5f) return false;
  float sum = 0.f, total = 0.f;
  for (int k = 0; k < 4; ++k) {
    const float value = velocity[c.place[k]];
    if (!mask[c.place[k]] || !(fabsf(value - nearest) <= p.apart)) continue;
    sum += c.weight[k] * value;
    total += c.weight[k];
  }
  *shown = total > 0.f ? sum / total : nearest;
  return true;
}

TF_INLINE int color_entry(const PictureParams& p, float velocity) {
  const float fraction = finite_or_zero(velocity < 0.f ? velocity / -p.low : velocity / p.high);
  return nearest_int(static_cast<float>(p.middle) * (1.f + max(-1.f, min(fraction, 1.f))));
}

TF_KERNEL(picture, const PictureParams p, const float* __restrict__ shades, const float* __restrict__ velocity,
          const unsigned char* __restrict__ mask, const int* __restrict__ corner, const float* __restrict__ fraction,
          const unsigned char* __restrict__ colors, unsigned char* __restrict__ image) {
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int last = min((thread + 1) * p.run, p.n_pixels);
  for (int first = thread * p.run; first < last; first += PICTURE_RUN) {
    const int count = min(PICTURE_RUN, last - first);
    float gray[PICTURE_RUN];
    TF_INDEPENDENT
    for (int i = 0; i < count; ++i) {
      Corners c = corners_of(p, corner, fraction, first + i);
      const float outside = c.place[0] < 0 ? 0.f : 255.f;
      for (int k = 0; k < 4; ++k) c.place[k] = max(c.place[k], 0);
      gray[i] = outside * max(0.f, min(shade_of(c, shades), 1.f));
    }
    for (int i = 0; i < count; ++i) {
      unsigned char* rgb = image + 3 * (first + i);
      rgb[0] = rgb[1] = rgb[2] = static_cast<unsigned char>(gray[i]);
      if (!p.in_color || corner[first + i] < 0) continue;
      float shown;
      if (!flow_at(p, corners_of(p, corner, fraction, first + i), velocity, mask, &shown)) continue;
      const unsigned char* color = colors + 3 * color_entry(p, shown);
      for (int channel = 0; channel < 3; ++channel) rgb[channel] = color[channel];
    }
  }
}
