// What the machine can do at best, for others to be held against: bytes moved, and products summed.
//
//   scaled_copy: to[i] = factor from[i]                    (STREAM's "scale": McCalpin 1995)
//   product_sums: x <- factor x + shift, `steps` times for each of the packet's 2 PACKET_WIDTH numbers
//
// product_sums keeps four packets, which do not wait for one another, in registers: 16 PACKET_WIDTH steps floating-point
// operations a thread. Threads: x packet. Layout: from, to, out [packet][PACKET_WIDTH] complex64. 32-bit indices: arrays
// below 2^31 numbers.
#include "packet.cuh"

struct ProbeParams {
  int n, steps;
  float factor, shift;
};

TF_PACKET_KERNEL(scaled_copy, const ProbeParams p, const float2* __restrict__ from, float2* __restrict__ to) {
  TF_EACH(i, p.n) {
    packet_store(to + i * PACKET_WIDTH, p.factor * packet_load(from + i * PACKET_WIDTH));
  }
}

TF_PACKET_KERNEL(product_sums, const ProbeParams p, float2* __restrict__ out) {
  TF_EACH(thread, p.n) {
    const Packet shift = packet_broadcast(make_float2(p.shift, p.shift));
    Packet a = shift, b = shift + shift, c = b + shift, d = b + b;
    for (int step = 0; step < p.steps; ++step) {
      a = p.factor * a + shift;
      b = p.factor * b + shift;
      c = p.factor * c + shift;
      d = p.factor * d + shift;
    }
    packet_store(out + thread * PACKET_WIDTH, (a + b) + (c + d));
  }
}
