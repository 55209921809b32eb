// Packet on the CPU: the ensemble in vector registers, as a binary tree of vectors of the machine's own width. (A GCC
// vector wider than the machine's is kept in memory: 4 times slower. A tree of members is split into registers.)
#pragma once
#include "host.hpp"

namespace trueflow {

#if defined(__AVX512F__)
constexpr int NATIVE_FLOATS = 16;
#elif defined(__AVX__)
constexpr int NATIVE_FLOATS = 8;
#else
constexpr int NATIVE_FLOATS = 4;
#endif

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * N)));
  typedef T memory __attribute__((vector_size(sizeof(T) * N), aligned(alignof(T)), may_alias));
};

// N floats.
template <int N, bool IsLeaf = (N <= NATIVE_FLOATS)>
struct Floats {
  Floats<N / 2> low, high;
};
template <int N>
struct Floats<N, true> {
  typename VectorOf<float, N>::type v;
};

// f applied leaf by leaf.
template <int N, class F, class... More>
TF_INLINE Floats<N> each(F f, const Floats<N>& a, const More&... more) {
  if constexpr (N <= NATIVE_FLOATS)
    return {f(a.v, more.v...)};
  else
    return {each(f, a.low, more.low...), each(f, a.high, more.high...)};
}

// Loads N values of T, converted to float.
template <int N, class T>
TF_INLINE Floats<N> load(const T* at) {
  if constexpr (N <= NATIVE_FLOATS) {
    const auto raw = *reinterpret_cast<const typename VectorOf<T, N>::memory*>(at);
    return {__builtin_convertvector(raw, typename VectorOf<float, N>::type)};
  } else {
    return {load<N / 2>(at), load<N / 2>(at + N / 2)};
  }
}
template <int N>
TF_INLINE void store(float* at, const Floats<N>& a) {
  if constexpr (N <= NATIVE_FLOATS) {
    *reinterpret_cast<typename VectorOf<float, N>::memory*>(at) = a.v;
  } else {
    store(at, a.low);
    store(at + N / 2, a.high);
  }
}

template <int N>
TF_INLINE Floats<N / 2> low_half(const Floats<N>& a) {
  if constexpr (N <= NATIVE_FLOATS) {
    Floats<N / 2> half;
    std::memcpy(&half, &a, sizeof half);
    return half;
  } else {
    return a.low;
  }
}
template <int N>
TF_INLINE Floats<N / 2> high_half(const Floats<N>& a) {
  if constexpr (N <= NATIVE_FLOATS) {
    Floats<N / 2> half;
    std::memcpy(&half, reinterpret_cast<const char*>(&a) + sizeof half, sizeof half);
    return half;
  } else {
    return a.high;
  }
}

template <int N>
TF_INLINE Floats<N> operator+(const Floats<N>& a, const Floats<N>& b) {
  return each([](auto x, auto y) { return x + y; }, a, b);
}
template <int N>
TF_INLINE Floats<N> operator-(const Floats<N>& a, const Floats<N>& b) {
  return each([](auto x, auto y) { return x - y; }, a, b);
}
template <int N>
TF_INLINE Floats<N> operator*(const Floats<N>& a, const Floats<N>& b) {
  return each([](auto x, auto y) { return x * y; }, a, b);
}
template <int N>
TF_INLINE Floats<N> operator*(float weight, const Floats<N>& b) {
  return each([weight](auto y) { return weight * y; }, b);
}

// Sums of the even and of the odd elements, by halving.
template <int N>
TF_INLINE float2 sum_pairs(const Floats<N>& a) {
  if constexpr (N == 2)
    return {a.v[0], a.v[1]};
  else
    return sum_pairs(low_half(a) + high_half(a));
}

// Pairs as 64-bit words: exchanging and joining their parts are shifts, which every vector unit has.
template <class V>
TF_INLINE auto as_words(V v) {
  return reinterpret_cast<typename VectorOf<uint64_t, sizeof(V) / 8>::type>(v);
}
template <int N>
TF_INLINE Floats<N> swap_pairs(const Floats<N>& a) {
  return each([](auto v) { return reinterpret_cast<decltype(v)>((as_words(v) << 32) | (as_words(v) >> 32)); }, a);
}
template <int N>
TF_INLINE Floats<2 * N> zip(const Floats<N>& even, const Floats<N>& odd) {
  if constexpr (2 * N <= NATIVE_FLOATS) {
    typedef typename VectorOf<uint32_t, N>::type half_words;
    typedef typename VectorOf<uint64_t, N>::type words;
    const words low = __builtin_convertvector(reinterpret_cast<half_words>(even.v), words);
    const words high = __builtin_convertvector(reinterpret_cast<half_words>(odd.v), words);
    return {reinterpret_cast<typename VectorOf<float, 2 * N>::type>(low | (high << 32))};
  } else {
    return {zip(low_half(even), low_half(odd)), zip(high_half(even), high_half(odd))};
  }
}
template <int N>
TF_INLINE Floats<N> broadcast_pair(uint64_t word) {
  if constexpr (N <= NATIVE_FLOATS) {
    const typename VectorOf<uint64_t, N / 2>::type words = word - typename VectorOf<uint64_t, N / 2>::type{};
    return {reinterpret_cast<typename VectorOf<float, N>::type>(words)};
  } else {
    const Floats<N / 2> half = broadcast_pair<N / 2>(word);
    return {half, half};
  }
}

}  // namespace trueflow

#ifdef PACKET_WIDTH

typedef trueflow::Floats<2 * PACKET_WIDTH> Packet;
typedef trueflow::Floats<PACKET_WIDTH> RealPacket;
using trueflow::operator+;
using trueflow::operator-;
using trueflow::operator*;

TF_INLINE Packet packet_broadcast(float2 value) {
  uint64_t word;
  std::memcpy(&word, &value, sizeof word);
  return trueflow::broadcast_pair<2 * PACKET_WIDTH>(word);
}
TF_INLINE Packet packet_zero() { return packet_broadcast({0.f, 0.f}); }
TF_INLINE Packet packet_load(const float2* at) {
  return trueflow::load<2 * PACKET_WIDTH>(reinterpret_cast<const float*>(at));
}
TF_INLINE void packet_store(float2* at, const Packet& p) { trueflow::store(reinterpret_cast<float*>(at), p); }
TF_INLINE float2 packet_sum(const Packet& a) { return trueflow::sum_pairs(a); }
TF_INLINE Packet swap_parts(const Packet& a) { return trueflow::swap_pairs(a); }
// (re, im) -> (-im, re)
TF_INLINE Packet packet_times_j(const Packet& a) {
  return trueflow::each(
      [](auto v) { return reinterpret_cast<decltype(v)>(trueflow::as_words(v) ^ uint64_t{0x80000000}); },
      swap_parts(a));
}
TF_INLINE Packet packet_complex(const Packet& a, const Packet& b) { return a + packet_times_j(b); }

// The first `count` samples, the rest zero, whatever was there.
TF_INLINE Packet packet_first(const Packet& a, int count) {
  float numbers[2 * PACKET_WIDTH];
  for (int i = 0; i < 2 * PACKET_WIDTH; ++i) numbers[i] = static_cast<float>(i);
  const float end = 2.f * static_cast<float>(count);
  return trueflow::each([end](auto v, auto n) { return n < end ? v : decltype(v){}; }, a,
                        trueflow::load<2 * PACKET_WIDTH>(numbers));
}

TF_INLINE RealPacket real_packet_zero() { return low_half(packet_zero()); }
template <class T>
TF_INLINE RealPacket real_packet_load(const T* at) {
  return trueflow::load<PACKET_WIDTH>(at);
}
TF_INLINE void add_scaled(RealPacket& sum, float weight, const RealPacket& p) { sum = sum + weight * p; }
TF_INLINE Packet packet_from_parts(const RealPacket& real, const RealPacket& imag) {
  return trueflow::zip(real, imag);
}

#endif
