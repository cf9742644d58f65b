// What machine.cuh gives the kernels, for a CPU: CUDA's language as macros, its functions between
// the threads of a warp as exchanges of fibers. Takes the place of machine.cuh.
#pragma once
#include <math.h>
#include <sched.h>
#include <time.h>

#include <type_traits>

#include "fibers.h"

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n)
#define __shared__ thread_local
#define threadIdx (fibers::here().thread)
#define blockIdx (fibers::here().block)
#define blockDim (fibers::here().threads)
#define gridDim (fibers::here().blocks)

struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

// Dynamic shared memory, by the names that kernels give it.
extern thread_local unsigned char memory[];
extern thread_local float4 row[];

template <class TO, class FROM>
inline TO bits_of(FROM from) {
  TO to;
  static_assert(sizeof(to) == sizeof(from));
  memcpy(&to, &from, sizeof(to));
  return to;
}
inline uint32_t __float_as_uint(float x) { return bits_of<uint32_t>(x); }
inline int __float_as_int(float x) { return bits_of<int>(x); }
inline float __uint_as_float(uint32_t x) { return bits_of<float>(x); }
inline float __int_as_float(int x) { return bits_of<float>(x); }

struct bf16 {
  uint16_t bits;
  bf16() = default;
  explicit bf16(float value) {
    uint32_t wide = __float_as_uint(value);
    bool number = value == value;
    bits = number ? (uint16_t)((wide + 0x7fff + (wide >> 16 & 1)) >> 16) : 0x7fff;
  }
  explicit operator float() const { return __uint_as_float((uint32_t)bits << 16); }
};
struct alignas(4) bf162 { bf16 x, y; };
struct __half { _Float16 value; };
inline float __bfloat162float(bf16 x) { return (float)x; }
inline bf16 __float2bfloat16_rn(float x) { return bf16(x); }
inline float2 __bfloat1622float2(bf162 x) { return {(float)x.x, (float)x.y}; }
inline float __half2float(__half x) { return (float)x.value; }

template <class A, class B>
inline std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <class A, class B>
inline std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float fast_exp2(float x) { return exp2f(x); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int __popc(uint32_t x) { return __builtin_popcount(x); }
inline int __ffs(uint32_t x) { return __builtin_ffs((int)x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz((unsigned)x); }
inline int __clzll(uint64_t x) { return x == 0 ? 64 : __builtin_clzll(x); }
inline long long clock64() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

template <class T>
inline T atomicAdd(T* at, T by) {
  return __atomic_fetch_add(at, by, __ATOMIC_SEQ_CST);
}
inline uint32_t atomicOr(uint32_t* at, uint32_t by) { return __atomic_fetch_or(at, by, __ATOMIC_SEQ_CST); }
inline int atomicMin(int* at, int by) {
  int before = *at;
  *at = min(before, by);
  return before;
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __threadfence(); }
template <class T>
inline T __ldcg(const T* at) {
  return *at;
}

inline void __syncthreads() { fibers::await_block(true); }
inline bool __syncthreads_and(bool yes) { return fibers::await_block(yes); }
inline void __syncwarp() { fibers::await_warp(); }

// What a function makes of the values of all lanes.
template <class T, class F>
inline auto over_warp(T mine, F function) {
  uint64_t word = 0;
  memcpy(&word, &mine, sizeof(mine));
  uint64_t(*words)[4] = fibers::exchange(&word, 1);
  T all[32];
  for (int lane = 0; lane < 32; lane++) {
    memcpy(&all[lane], words[lane], sizeof(T));
  }
  return function(all, fibers::here().current % 32);
}
template <class T>
inline T __shfl_xor_sync(uint32_t, T value, int with) {
  return over_warp(value, [=](const T* all, int lane) { return all[lane ^ with]; });
}
template <class T>
inline T __shfl_up_sync(uint32_t, T value, int by) {
  return over_warp(value, [=](const T* all, int lane) { return all[lane < by ? lane : lane - by]; });
}
template <class T>
inline T __shfl_sync(uint32_t, T value, int from) {
  return over_warp(value, [=](const T* all, int) { return all[from]; });
}
inline uint32_t __ballot_sync(uint32_t, bool yes) {
  return over_warp(yes, [](const bool* all, int) {
    uint32_t votes = 0;
    for (int lane = 0; lane < 32; lane++) {
      votes |= (uint32_t)all[lane] << lane;
    }
    return votes;
  });
}
inline bool __any_sync(uint32_t mask, bool yes) { return __ballot_sync(mask, yes) != 0; }
template <class T, class F>
inline T reduced(T value, F function) {
  return over_warp(value, [=](const T* all, int) {
    T result = all[0];
    for (int lane = 1; lane < 32; lane++) {
      result = function(result, all[lane]);
    }
    return result;
  });
}
template <class T>
inline T __reduce_min_sync(uint32_t, T value) {
  return reduced(value, [](T a, T b) { return min(a, b); });
}
template <class T>
inline T __reduce_max_sync(uint32_t, T value) {
  return reduced(value, [](T a, T b) { return max(a, b); });
}
inline uint32_t __reduce_or_sync(uint32_t, uint32_t value) {
  return reduced(value, [](uint32_t a, uint32_t b) { return a | b; });
}

// From here on what machine.cuh defines.
inline void wait_for_previous() {}
inline void let_next_start() {}
inline void prefetch(const void*) {}
inline uint4 load_streaming(const void* from) { return *static_cast<const uint4*>(from); }

// Shared memory by its distance from the dynamic part of it.
inline uint32_t shared_address(const void* pointer) {
  return (uint32_t)(static_cast<const unsigned char*>(pointer) - memory);
}
inline void* shared_pointer(uint32_t address) { return memory + (int32_t)address; }

inline void copy_async(uint32_t to, const void* from, bool valid) {
  uint4 none = {};
  memcpy(shared_pointer(to), valid ? from : &none, 16);
}
inline void commit_copies() {}
template <int PENDING>
inline void await_copies() {}

// Of each matrix of 8 x 8 a lane gets two neighbours of the row lane / 4, or column.
template <bool TRANSPOSED>
inline void load_parts(uint32_t (&r)[4], uint32_t address) {
  uint64_t mine = address;
  uint64_t(*all)[4] = fibers::exchange(&mine, 1);
  int lane = fibers::here().current % 32;
  for (int matrix = 0; matrix < 4; matrix++) {
    uint16_t two[2];
    for (int i = 0; i < 2; i++) {
      int from = TRANSPOSED ? 2 * (lane % 4) + i : lane / 4;
      int element = TRANSPOSED ? lane / 4 : 2 * (lane % 4) + i;
      const uint16_t* line =
          static_cast<const uint16_t*>(shared_pointer((uint32_t)all[8 * matrix + from][0]));
      two[i] = line[element];
    }
    memcpy(&r[matrix], two, 4);
  }
}
inline void load_matrices(uint32_t (&r)[4], uint32_t address) { load_parts<false>(r, address); }
inline void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  load_parts<true>(r, address);
}

inline float half_of(uint64_t word, int index) {
  return __uint_as_float((uint32_t)(word >> 16 * index & 0xffff) << 16);
}

// Lanes show two words of a in one, then two more, then b.
inline void multiply_add(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                         uint32_t b0, uint32_t b1) {
  uint64_t mine[3] = {a0 | (uint64_t)a2 << 32, a1 | (uint64_t)a3 << 32, b0 | (uint64_t)b1 << 32};
  uint64_t(*all)[4] = fibers::exchange(mine, 3);
  int lane = fibers::here().current % 32;
  for (int k = 0; k < 16; k++) {
    int from = k % 8 / 2;
    int half = k % 2 + k / 8 * 2;
    float upper = half_of(all[lane / 4 * 4 + from][0], half);
    float lower = half_of(all[lane / 4 * 4 + from][1], half);
    float left = half_of(all[lane % 4 * 2 * 4 + from][2], half);
    float right = half_of(all[(lane % 4 * 2 + 1) * 4 + from][2], half);
    c[0] += upper * left;
    c[1] += upper * right;
    c[2] += lower * left;
    c[3] += lower * right;
  }
}

inline uint32_t pack(float low, float high) {
  return bf16(low).bits | (uint32_t)bf16(high).bits << 16;
}
inline float sum_over_warp(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffff, value, offset);
  }
  return value;
}
template <int CHUNKS>
inline uint32_t swizzled(int row, int chunk) {
  return (row * CHUNKS + (chunk ^ (row & 7))) * 16;
}

// A packet is its own signal: here its halves, each written at once.
inline void store_packet(uint4* to, uint4 packet) {
  uint64_t* halves = reinterpret_cast<uint64_t*>(to);
  __atomic_store_n(halves, packet.x | (uint64_t)packet.y << 32, __ATOMIC_RELEASE);
  __atomic_store_n(halves + 1, packet.z | (uint64_t)packet.w << 32, __ATOMIC_RELEASE);
}
inline uint4 load_packet(const uint4* from) {
  const uint64_t* halves = reinterpret_cast<const uint64_t*>(from);
  uint64_t first = __atomic_load_n(halves, __ATOMIC_ACQUIRE);
  uint64_t second = __atomic_load_n(halves + 1, __ATOMIC_ACQUIRE);
  sched_yield();
  return {(uint32_t)first, (uint32_t)(first >> 32), (uint32_t)second, (uint32_t)(second >> 32)};
}
inline void store_for_peers(uint32_t* to, uint32_t value) {
  __atomic_store_n(to, value, __ATOMIC_RELEASE);
}
inline uint32_t load_of_peers(const uint32_t* from) {
  sched_yield();
  return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}
