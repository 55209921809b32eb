// Packet: PACKET_WIDTH neighbouring complex slow-time samples of one pixel or channel sample, interleaved (re, im).
// On the GPU a thread carries one (or a few) and neighbouring threads hold neighbouring samples, so loads coalesce; on
// the CPU a thread carries the whole ensemble (or 32 of it) in vector registers. The kernel's text is the same.
// Memory holds packets back to back, aligned to 8 bytes.
#pragma once
#include "kernel.cuh"

#ifdef __CUDACC__

struct Packet {
  float2 sample[PACKET_WIDTH];
};

#define TF_EACH_SAMPLE _Pragma("unroll") for (int i = 0; i < PACKET_WIDTH; ++i)

TF_INLINE Packet packet_zero() {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(0.f, 0.f);
  return p;
}
TF_INLINE Packet packet_load(const float2* at) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = at[i];
  return p;
}
TF_INLINE void packet_store(float2* at, const Packet& p) {
  TF_EACH_SAMPLE at[i] = p.sample[i];
}
TF_INLINE Packet operator+(const Packet& a, const Packet& b) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(a.sample[i].x + b.sample[i].x, a.sample[i].y + b.sample[i].y);
  return p;
}
TF_INLINE Packet operator-(const Packet& a, const Packet& b) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(a.sample[i].x - b.sample[i].x, a.sample[i].y - b.sample[i].y);
  return p;
}
TF_INLINE Packet operator*(float weight, const Packet& b) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(weight * b.sample[i].x, weight * b.sample[i].y);
  return p;
}
// Real with real and imaginary with imaginary part.
TF_INLINE Packet operator*(const Packet& a, const Packet& b) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(a.sample[i].x * b.sample[i].x, a.sample[i].y * b.sample[i].y);
  return p;
}
TF_INLINE Packet swap_parts(const Packet& a) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(a.sample[i].y, a.sample[i].x);
  return p;
}
// Sums over the samples of the real and of the imaginary parts.
TF_INLINE float2 packet_sum(const Packet& a) {
  float2 sum = make_float2(0.f, 0.f);
  TF_EACH_SAMPLE sum.x += a.sample[i].x, sum.y += a.sample[i].y;
  return sum;
}
TF_INLINE Packet packet_times_j(const Packet& a) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(-a.sample[i].y, a.sample[i].x);
  return p;
}
// a + j b
TF_INLINE Packet packet_complex(const Packet& a, const Packet& b) { return a + packet_times_j(b); }
TF_INLINE Packet packet_broadcast(float2 value) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = value;
  return p;
}

// PACKET_WIDTH real samples.
struct RealPacket {
  float sample[PACKET_WIDTH];
};
TF_INLINE RealPacket real_packet_zero() {
  RealPacket p;
  TF_EACH_SAMPLE p.sample[i] = 0.f;
  return p;
}
template <class T>
TF_INLINE RealPacket real_packet_load(const T* at) {
  RealPacket p;
  TF_EACH_SAMPLE p.sample[i] = static_cast<float>(at[i]);
  return p;
}
TF_INLINE void add_scaled(RealPacket& sum, float weight, const RealPacket& p) {
  TF_EACH_SAMPLE sum.sample[i] += weight * p.sample[i];
}
TF_INLINE Packet packet_from_parts(const RealPacket& real, const RealPacket& imag) {
  Packet p;
  TF_EACH_SAMPLE p.sample[i] = make_float2(real.sample[i], imag.sample[i]);
  return p;
}

#else
#include "packet_host.hpp"
#endif

TF_INLINE Packet& operator+=(Packet& a, const Packet& b) { return a = a + b; }

// The first `count` samples at `at`, the rest zero; and the first `count` samples stored.
TF_INLINE Packet packet_load_part(const float2* at, int count) {
  if (count >= PACKET_WIDTH) return packet_load(at);
  float2 part[PACKET_WIDTH];
  for (int i = 0; i < PACKET_WIDTH; ++i) part[i] = i < count ? at[i] : make_float2(0.f, 0.f);
  return packet_load(part);
}
TF_INLINE void packet_store_part(float2* at, const Packet& p, int count) {
  if (count >= PACKET_WIDTH) return packet_store(at, p);
  float2 part[PACKET_WIDTH];
  packet_store(part, p);
  for (int i = 0; i < PACKET_WIDTH; ++i)
    if (i < count) at[i] = part[i];
}
// The same, where `readable` samples may be read from `at` on: on a CPU one load then does.
TF_INLINE Packet packet_load_first(const float2* at, int count, int readable) {
#ifndef __CUDACC__
  if (count > 0 && readable >= PACKET_WIDTH) return packet_first(packet_load(at), count);
#endif
  return packet_load_part(at, count);
}
