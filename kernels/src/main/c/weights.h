/*
 * Stored weights, widened 32 at a time. The layouts are those of BlockFormat.java; a weight is its
 * code times its scale plus its minimum in one rounding, the same on every path.
 */
#pragma once

#include "lanes.h"

#define GROUP 32
#define GROUP_LANES (GROUP / LANES)
#define HALF_LANES (GROUP_LANES / 2)

/* As CompiledKernels.java counts them. */
enum type { F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K };

INLINE float half(const uint8_t *at) {
  uint16_t bits;
  memcpy(&bits, at, 2);
  return _cvtsh_ss(bits);
}

INLINE void scale_signed(__m128i codes, lanes scale, lanes *out) {
  widen_signed(codes, out);
  for (int i = 0; i < HALF_LANES; i++) {
    out[i] = MULTIPLY(out[i], scale);
  }
}

INLINE void scale_unsigned(__m128i codes, lanes scale, lanes minimum, lanes *out) {
  widen_unsigned(codes, out);
  for (int i = 0; i < HALF_LANES; i++) {
    out[i] = MULTIPLY_ADD(out[i], scale, minimum);
  }
}

INLINE __m128i low_nibbles(__m128i bytes) { return _mm_and_si128(bytes, _mm_set1_epi8(15)); }

INLINE __m128i high_nibbles(__m128i bytes) { return low_nibbles(_mm_srli_epi16(bytes, 4)); }

/* 16 bits, each as the fifth bit of a byte. */
INLINE __m128i fifth_bits(const uint8_t *at) {
  int16_t bits;
  memcpy(&bits, at, 2);
  __m128i spread = _mm_shuffle_epi8(
      _mm_set1_epi16(bits), _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  __m128i each = _mm_set1_epi64x((int64_t)0x8040201008040201);
  __m128i set = _mm_cmpeq_epi8(_mm_and_si128(spread, each), each);
  return _mm_and_si128(set, _mm_set1_epi8(16));
}

INLINE void widen_nibbles(enum type type, const uint8_t *block, lanes *out) {
  int has_minimum = type == Q4_1 || type == Q5_1;
  int has_fifth = type == Q5_0 || type == Q5_1;
  const uint8_t *fifths = block + (has_minimum ? 4 : 2);
  __m128i codes = _mm_loadu_si128((const __m128i *)(fifths + (has_fifth ? 4 : 0)));
  __m128i low = low_nibbles(codes);
  __m128i high = high_nibbles(codes);
  if (has_fifth) {
    low = _mm_or_si128(low, fifth_bits(fifths));
    high = _mm_or_si128(high, fifth_bits(fifths + 2));
  }
  lanes scale = broadcast_half(block);
  if (has_minimum) {
    lanes minimum = broadcast_half(block + 2);
    scale_unsigned(low, scale, minimum, out);
    scale_unsigned(high, scale, minimum, out + HALF_LANES);
  } else {
    __m128i center = _mm_set1_epi8(has_fifth ? 16 : 8);
    scale_signed(_mm_sub_epi8(low, center), scale, out);
    scale_signed(_mm_sub_epi8(high, center), scale, out + HALF_LANES);
  }
}

/* Six bits: those of the first four in bytes 0-7, the high ones of the rest spread. */
INLINE int sub_scale(const uint8_t *scales, int sub) {
  return sub < 4 ? scales[sub] & 63 : (scales[sub + 4] & 15) | (scales[sub - 4] >> 6) << 4;
}

INLINE int sub_minimum(const uint8_t *scales, int sub) {
  return sub < 4 ? scales[sub + 4] & 63 : scales[sub + 4] >> 4 | (scales[sub] >> 6) << 4;
}

INLINE void widen_super_block(enum type type, const uint8_t *block, int sub, lanes *out) {
  lanes scale = BROADCAST(half(block) * (float)sub_scale(block + 4, sub));
  lanes minimum = BROADCAST(-(half(block + 2) * (float)sub_minimum(block + 4, sub)));
  const uint8_t *codes = block + (type == Q5_K ? 48 : 16) + (sub >> 1) * 32;
  for (int i = 0; i < 2; i++) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(codes + 16 * i));
    __m128i code = sub & 1 ? high_nibbles(bytes) : low_nibbles(bytes);
    if (type == Q5_K) {
      __m128i fifths = _mm_loadu_si128((const __m128i *)(block + 16 + 16 * i));
      __m128i bit = _mm_srl_epi16(fifths, _mm_cvtsi32_si128(sub));
      bit = _mm_slli_epi16(_mm_and_si128(bit, _mm_set1_epi8(1)), 4);
      code = _mm_or_si128(code, bit);
    }
    scale_unsigned(code, scale, minimum, out + i * HALF_LANES);
  }
}

INLINE void widen_six_bits(const uint8_t *block, int part, lanes *out) {
  /* Parts of 32; four of them share 64 bytes of nibbles and 32 of pairs of bits. */
  int quarter = part & 3;
  const uint8_t *lows = block + (part >> 2) * 64 + (quarter & 1) * 32;
  const uint8_t *pairs = block + 128 + (part >> 2) * 32;
  float scale = half(block + 208);
  for (int i = 0; i < 2; i++) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(lows + 16 * i));
    __m128i code = quarter >> 1 ? high_nibbles(bytes) : low_nibbles(bytes);
    __m128i pair = _mm_loadu_si128((const __m128i *)(pairs + 16 * i));
    pair = _mm_srl_epi16(pair, _mm_cvtsi32_si128(2 * quarter));
    pair = _mm_slli_epi16(_mm_and_si128(pair, _mm_set1_epi8(3)), 4);
    code = _mm_sub_epi8(_mm_or_si128(code, pair), _mm_set1_epi8(32));
    float sub = (float)(int8_t)block[192 + 2 * part + i];
    scale_signed(code, BROADCAST(scale * sub), out + i * HALF_LANES);
  }
}

/* Elements 32 group to 32 group + 31 of a row. */
INLINE void widen(enum type type, const uint8_t *row, int64_t group, lanes out[GROUP_LANES]) {
  switch (type) {
  case F32:
    for (int i = 0; i < GROUP_LANES; i++) {
      out[i] = LOAD((const float *)row + group * GROUP + i * LANES);
    }
    break;
  case F16:
    for (int i = 0; i < GROUP_LANES; i++) {
      out[i] = load_halves((const uint16_t *)row + group * GROUP + i * LANES);
    }
    break;
  case BF16:
    for (int i = 0; i < GROUP_LANES; i++) {
      out[i] = load_brains((const uint16_t *)row + group * GROUP + i * LANES);
    }
    break;
  case Q8_0: {
    const uint8_t *block = row + group * 34;
    lanes scale = broadcast_half(block);
    for (int i = 0; i < GROUP_LANES; i++) {
      out[i] = MULTIPLY(load_bytes(block + 2 + i * LANES), scale);
    }
    break;
  }
  case Q4_0:
    widen_nibbles(type, row + group * 18, out);
    break;
  case Q4_1:
    widen_nibbles(type, row + group * 20, out);
    break;
  case Q5_0:
    widen_nibbles(type, row + group * 22, out);
    break;
  case Q5_1:
    widen_nibbles(type, row + group * 24, out);
    break;
  case Q4_K:
    widen_super_block(type, row + (group >> 3) * 144, (int)(group & 7), out);
    break;
  case Q5_K:
    widen_super_block(type, row + (group >> 3) * 176, (int)(group & 7), out);
    break;
  case Q6_K:
    widen_six_bits(row + (group >> 3) * 210, (int)(group & 7), out);
    break;
  }
}

/* Bytes of an element of a type without blocks; only such rows may end within a group. */
INLINE int64_t element_bytes(enum type type) { return type == F32 ? 4 : 2; }

/* The last elements of a row that is no whole number of groups, and zeros. */
INLINE void widen_rest(enum type type, const uint8_t *row, int64_t columns, lanes *out) {
  uint8_t padded[GROUP * 4] = {0};
  int64_t whole = columns / GROUP * GROUP;
  int64_t bytes = element_bytes(type);
  memcpy(padded, row + whole * bytes, (size_t)((columns - whole) * bytes));
  widen(type, padded, 0, out);
}
