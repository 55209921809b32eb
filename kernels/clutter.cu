// Slow-time filters as matrices. Polynomial regression, FIR and IIR high-pass (with any start-up) and projections on
// singular subspaces are all linear in the ensemble:
//
//   y[pixel, i] = sum_j A[i, j] x[pixel, j] + sum_s B[i, s] state[pixel, s]
//
// `slow_time_matrix` applies one matrix to every pixel; a filter that keeps state across packets launches it twice, for
// its output and for its next state. `gram` sums x[pixel, i] conj(x[pixel, j]) over runs of pixels; the partial sums are
// then added in their fixed order (SVD filter: Demene et al. 2015).
// Threads of slow_time_matrix: x packet within the output, y pixel. Of gram: x packet of i, y j, z run of pixels.
// Layout: x [pixel][n_in], state [pixel][n_state], y [pixel][n_out] complex64. matrix [column][n_out_padded]: the columns
// of A, of B and, where is_complex, of Im A, one after another; each real element stands twice, beside the real and the
// imaginary part that it multiplies. 32-bit indices: n_pixels * max(n_in, n_out) < 2^31.
#include "packet.cuh"

struct SlowTimeMatrixParams {
  int n_pixels, n_in, n_state, n_out, n_out_padded;
  int is_complex;
};

TF_PACKET_KERNEL(slow_time_matrix, const SlowTimeMatrixParams p, const float2* __restrict__ matrix,
                 const float2* __restrict__ x, const float2* __restrict__ state, float2* __restrict__ y) {
  const int lane = threadIdx.x * PACKET_WIDTH;
  const int pixel = blockIdx.x * blockDim.y + threadIdx.y;
  if (pixel >= p.n_pixels) return;
  Packet sum = packet_zero();
  const float2* column = matrix + lane;
  for (int j = 0; j < p.n_in; ++j, column += p.n_out_padded)
    sum += packet_load(column) * packet_broadcast(x[pixel * p.n_in + j]);
  for (int s = 0; s < p.n_state; ++s, column += p.n_out_padded)
    sum += packet_load(column) * packet_broadcast(state[pixel * p.n_state + s]);
  if (p.is_complex) {
    Packet imag = packet_zero();
    for (int j = 0; j < p.n_in; ++j, column += p.n_out_padded)
      imag += packet_load(column) * packet_broadcast(x[pixel * p.n_in + j]);
    sum = packet_complex(sum, imag);
  }
  packet_store_part(y + pixel * p.n_out + lane, sum, p.n_out - lane);
}

struct GramParams {
  int n_pixels, n_ensemble, n_padded, run;
};

TF_PACKET_KERNEL(gram, const GramParams p, const float2* __restrict__ x, float2* __restrict__ partial) {
  const int lane = threadIdx.x * PACKET_WIDTH;
  const int j = blockIdx.y * blockDim.y + threadIdx.y;
  if (j >= p.n_ensemble) return;
  const int begin = blockIdx.z * p.run, end = min(begin + p.run, p.n_pixels);
  Packet real = packet_zero(), imag = packet_zero();
  for (int pixel = begin; pixel < end; ++pixel) {
    const float2* ensemble = x + pixel * p.n_ensemble;
    const Packet value = packet_load_part(ensemble + lane, p.n_ensemble - lane);
    real += ensemble[j].x * value;
    imag += -ensemble[j].y * value;
  }
  packet_store(partial + (blockIdx.z * p.n_ensemble + j) * p.n_padded + lane, packet_complex(real, imag));
}
