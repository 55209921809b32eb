// What of CUDA the kernels use, for a host compiler, so that the text under __CUDACC__ runs on a CPU: one thread after
// another, in any order one asks for. Included before a kernel's own text.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __CUDACC__ 1
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __restrict__ __restrict

struct dim3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <class T>
inline T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
inline T max(T a, T b) {
  return a < b ? b : a;
}

template <class T>
inline T atomicAdd(T* address, T value) {
  const T found = *address;
  *address = found + value;
  return found;
}
template <class T>
inline T atomicMin(T* address, T value) {
  const T found = *address;
  if (value < found) *address = value;
  return found;
}
template <class T>
inline T atomicMax(T* address, T value) {
  const T found = *address;
  if (found < value) *address = value;
  return found;
}
template <class T>
inline T atomicCAS(T* address, T expected, T value) {
  const T found = *address;
  if (found == expected) *address = value;
  return found;
}

static dim3 blockIdx, threadIdx, blockDim, gridDim;

namespace emulated {

// One letter a parameter: p pointer, f float, i integer, s struct; in bytes, of what is pointed at where it points.
struct Parameter {
  char kind, element;
  unsigned bytes, element_bytes;
};

template <class T>
constexpr char letter() {
  return std::is_floating_point_v<T> ? 'f' : std::is_integral_v<T> ? 'i' : 's';
}

template <class T>
constexpr Parameter parameter() {
  if constexpr (std::is_pointer_v<T>) {
    using E = std::remove_cv_t<std::remove_pointer_t<T>>;
    return {'p', letter<E>(), sizeof(T), sizeof(E)};
  } else {
    return {letter<T>(), letter<T>(), sizeof(T), sizeof(T)};
  }
}

template <class... Args, size_t... I>
void run(void (*kernel)(Args...), const uint32_t* shape, void** arguments, uint64_t stride, std::index_sequence<I...>) {
  gridDim = {shape[0], shape[1], shape[2]};
  blockDim = {shape[3], shape[4], shape[5]};
  const uint64_t in_block = uint64_t{blockDim.x} * blockDim.y * blockDim.z;
  const uint64_t n = in_block * gridDim.x * gridDim.y * gridDim.z;
  uint64_t linear = 0;
  for (uint64_t k = 0; k < n; ++k) {
    const uint64_t block = linear / in_block;
    const uint32_t thread = static_cast<uint32_t>(linear % in_block);
    blockIdx = {static_cast<unsigned>(block % gridDim.x), static_cast<unsigned>(block / gridDim.x % gridDim.y),
                static_cast<unsigned>(block / gridDim.x / gridDim.y)};
    threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / blockDim.x / blockDim.y};
    kernel(*static_cast<std::remove_reference_t<Args>*>(arguments[I])...);
    linear += stride;
    if (linear >= n) linear -= n;
  }
}

template <class... Args>
void run(void (*kernel)(Args...), const uint32_t* shape, void** arguments, uint64_t stride) {
  run(kernel, shape, arguments, stride, std::index_sequence_for<Args...>{});
}

template <class... Args>
unsigned describe(void (*)(Args...), Parameter* out) {
  const Parameter all[] = {parameter<Args>()...};
  std::memcpy(out, all, sizeof all);
  return sizeof...(Args);
}

}  // namespace emulated

#define EMULATED(name)                                                                                   \
  extern "C" void run_##name(const uint32_t* shape, void** arguments, uint64_t stride) {                 \
    emulated::run(name, shape, arguments, stride);                                                       \
  }                                                                                                      \
  extern "C" unsigned describe_##name(emulated::Parameter* out) { return emulated::describe(name, out); }
