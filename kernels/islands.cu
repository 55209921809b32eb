// Islands of a mask that are too small to be flow: 4-connected pixels, counted and, below a size, taken out.
//
// Launch order: island_prepare, region_unite (region_label.cu), island_count, island_keep.
// Threads: pixel, or row of the image for island_count. Maps [n_z][n_x]; area int per pixel, used at roots only.
#include "regions.cuh"

struct IslandParams {
  int n_x, n_z, least_area;
};

TF_KERNEL(island_prepare, const IslandParams p, const unsigned char* __restrict__ mask,
          unsigned char* __restrict__ in_mask, int* __restrict__ parent, int* __restrict__ area) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    in_mask[pixel] = mask[pixel] ? 0 : NO_CLASS;
    parent[pixel] = pixel;
    area[pixel] = 0;
  }
}

// Row: adds its runs of pixels to the areas of their islands.
TF_KERNEL(island_count, const IslandParams p, const unsigned char* __restrict__ mask, const int* __restrict__ parent,
          int* __restrict__ area) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= p.n_z) return;
  const int begin = row * p.n_x, end = begin + p.n_x;
  for (int pixel = begin; pixel < end; ++pixel) {
    if (!mask[pixel]) continue;
    int stop = pixel + 1;
    while (stop < end && mask[stop]) ++stop;
    atomicAdd(area + find_root(parent, pixel), stop - pixel);
    pixel = stop;
  }
}

TF_KERNEL(island_keep, const IslandParams p, const unsigned char* __restrict__ mask, const int* __restrict__ parent,
          const int* __restrict__ area, unsigned char* __restrict__ kept) {
  TF_EACH(pixel, p.n_x * p.n_z) {
    kept[pixel] = mask[pixel] && area[find_root(parent, pixel)] >= p.least_area;
  }
}
