/* Vectors of floats, as wide as the instructions this file is compiled for. */
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T1)

#if defined(__AVX512F__)

#define LANES 16
typedef __m512 lanes;
#define ZERO() _mm512_setzero_ps()
#define BROADCAST(value) _mm512_set1_ps(value)
#define LOAD(address) _mm512_loadu_ps(address)
#define STORE(address, value) _mm512_storeu_ps(address, value)
#define ADD(a, b) _mm512_add_ps(a, b)
#define SUBTRACT(a, b) _mm512_sub_ps(a, b)
#define MULTIPLY(a, b) _mm512_mul_ps(a, b)
#define DIVIDE(a, b) _mm512_div_ps(a, b)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#define MAXIMUM(a, b) _mm512_max_ps(a, b)
#define MINIMUM(a, b) _mm512_min_ps(a, b)

/* 2^n for the integer n that the low bits of 1.5 * 2^23 + n hold. */
INLINE lanes power_of_two(lanes shifted) {
  __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(127 << 23)));
}

INLINE lanes zero_below(lanes value, lanes x, lanes limit) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), value);
}

/* The first count lanes of value, and of otherwise the rest. */
INLINE lanes first(int count, lanes value, lanes otherwise) {
  return _mm512_mask_mov_ps(otherwise, (__mmask16)((1u << count) - 1), value);
}

INLINE lanes load_bytes(const void *address) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(address)));
}

INLINE lanes broadcast_half(const void *address) {
  int16_t bits;
  memcpy(&bits, address, 2);
  return _mm512_cvtph_ps(_mm256_set1_epi16(bits));
}

INLINE void widen_signed(__m128i bytes, lanes out[1]) {
  out[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

INLINE void widen_unsigned(__m128i bytes, lanes out[1]) {
  out[0] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

INLINE lanes load_brains(const void *address) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(address));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

INLINE lanes load_halves(const void *address) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(address));
}

INLINE __m256 halve(lanes a) {
  __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
  return _mm256_add_ps(_mm512_castps512_ps256(a), high);
}

#else

#define LANES 8
typedef __m256 lanes;
#define ZERO() _mm256_setzero_ps()
#define BROADCAST(value) _mm256_set1_ps(value)
#define LOAD(address) _mm256_loadu_ps(address)
#define STORE(address, value) _mm256_storeu_ps(address, value)
#define ADD(a, b) _mm256_add_ps(a, b)
#define SUBTRACT(a, b) _mm256_sub_ps(a, b)
#define MULTIPLY(a, b) _mm256_mul_ps(a, b)
#define DIVIDE(a, b) _mm256_div_ps(a, b)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#define MAXIMUM(a, b) _mm256_max_ps(a, b)
#define MINIMUM(a, b) _mm256_min_ps(a, b)

INLINE lanes power_of_two(lanes shifted) {
  __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(127 << 23)));
}

INLINE lanes zero_below(lanes value, lanes x, lanes limit) {
  return _mm256_and_ps(value, _mm256_cmp_ps(x, limit, _CMP_NLT_UQ));
}

INLINE lanes first(int count, lanes value, lanes otherwise) {
  __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), index);
  return _mm256_blendv_ps(otherwise, value, _mm256_castsi256_ps(mask));
}

INLINE lanes load_bytes(const void *address) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(address)));
}

INLINE lanes broadcast_half(const void *address) {
  int16_t bits;
  memcpy(&bits, address, 2);
  return _mm256_cvtph_ps(_mm_set1_epi16(bits));
}

INLINE void widen_signed(__m128i bytes, lanes out[2]) {
  out[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  out[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)));
}

INLINE void widen_unsigned(__m128i bytes, lanes out[2]) {
  out[0] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
  out[1] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
}

INLINE lanes load_brains(const void *address) {
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(address));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

INLINE lanes load_halves(const void *address) {
  return _mm256_cvtph_ps(_mm_loadu_si128(address));
}

INLINE __m256 halve(lanes a) { return a; }

#endif

/* The sum of all lanes, halves onto halves. */
INLINE float sum_of_lanes(lanes a) {
  __m256 eight = halve(a);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE float largest_lane(lanes a) {
  float values[LANES];
  STORE(values, a);
  float largest = values[0];
  for (int i = 1; i < LANES; i++) {
    largest = values[i] > largest ? values[i] : largest;
  }
  return largest;
}

/*
 * The exponential function, to 2 ulp, and zero below -87.3: exp(x) = 2^n exp(r) with
 * n = round(x / ln 2), and a polynomial of degree 6 in r.
 */
INLINE lanes exponential(lanes x) {
  lanes lowest = BROADCAST(-87.3f);
  lanes magic = BROADCAST(0x1.8p23f);
  lanes bounded = MAXIMUM(lowest, MINIMUM(BROADCAST(88.3f), x)); /* NaN stays */
  lanes shifted = MULTIPLY_ADD(bounded, BROADCAST(1.442695f), magic);
  lanes n = SUBTRACT(shifted, magic);
  lanes r = MULTIPLY_ADD(n, BROADCAST(-0.6933594f), bounded);
  r = MULTIPLY_ADD(n, BROADCAST(2.1219444e-04f), r);
  lanes p = BROADCAST(1.9875691e-04f);
  p = MULTIPLY_ADD(p, r, BROADCAST(0.0013981999f));
  p = MULTIPLY_ADD(p, r, BROADCAST(0.008333452f));
  p = MULTIPLY_ADD(p, r, BROADCAST(0.041665796f));
  p = MULTIPLY_ADD(p, r, BROADCAST(0.16666666f));
  p = MULTIPLY_ADD(p, r, BROADCAST(0.5f));
  p = MULTIPLY_ADD(p, MULTIPLY(r, r), ADD(r, BROADCAST(1.0f)));
  return zero_below(MULTIPLY(p, power_of_two(shifted)), x, lowest);
}
