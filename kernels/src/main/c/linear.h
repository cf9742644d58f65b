/*
 * Matrix products. Every output is a sum along the inputs in one vector of accumulators, lane l
 * taking the elements l, l + LANES, ... in order, and the lanes summed at the end: the same for one
 * row and for many, so that a row's result never depends on its company.
 */
#pragma once

#include "weights.h"

/* Some outputs of one matrix for all rows: what a worker does between two hand-overs. */
struct linear_tile {
  const float *x;
  int64_t x_stride; /* bytes, as all strides */
  int64_t rows;
  int64_t columns;
  int64_t type;
  const uint8_t *weights; /* of the tile's first output, as bias and out */
  int64_t weight_stride;
  int64_t outputs;
  const float *bias; /* or NULL */
  float *out;
  int64_t out_stride;
  float *panel; /* panel_outputs times the columns, rounded up to whole groups */
  int64_t panel_outputs; /* a multiple of TILE_OUTPUTS, and at least TILE_ROWS */
};

/* Rows that take weights as they are widened; more pass over a panel of widened weights. */
#define FEW_ROWS 8

/* Rows and outputs whose accumulators fill the registers. */
#define TILE_ROWS 4
#if LANES == 16
#define TILE_OUTPUTS 6
#else
#define TILE_OUTPUTS 3
#endif

INLINE const float *x_row(const struct linear_tile *t, int64_t row) {
  return (const float *)((const char *)t->x + row * t->x_stride);
}

INLINE struct linear_tile some_rows(const struct linear_tile *t, int64_t first, int64_t rows) {
  struct linear_tile part = *t;
  part.x = x_row(t, first);
  part.out = (float *)((char *)t->out + first * t->out_stride);
  part.rows = rows;
  return part;
}

INLINE void put(const struct linear_tile *t, int64_t row, int64_t output, lanes sum) {
  float *out = (float *)((char *)t->out + row * t->out_stride);
  out[output] = sum_of_lanes(sum) + (t->bias ? t->bias[output] : 0.0f);
}

/* Lays a few rows vector by vector beside each other, whole groups and a whole number of rows. */
INLINE void pack_rows(const struct linear_tile *t, const int rows) {
  int64_t vectors = (t->columns + GROUP - 1) / GROUP * GROUP_LANES;
  int64_t whole = t->columns / LANES;
  memset(t->panel, 0, (size_t)(vectors * rows * LANES) * sizeof(float));
  for (int64_t r = 0; r < t->rows; r++) {
    const float *x = x_row(t, r);
    float *to = t->panel + r * LANES;
    for (int64_t i = 0; i < whole; i++, to += rows * LANES) {
      STORE(to, LOAD(x + i * LANES));
    }
    memcpy(to, x + whole * LANES, (size_t)(t->columns - whole * LANES) * sizeof(float));
  }
}

/*
 * A few packed rows times a few outputs, weights widened in registers. Each output is a distance
 * from the one before, so that every stream of weights is read on from where it ended.
 */
INLINE void multiply_few(const struct linear_tile *t, enum type type, const int rows,
                         const int outputs, int64_t output, int64_t distance) {
  lanes sums[TILE_ROWS][4];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
    for (int o = 0; o < outputs; o++) {
      sums[r][o] = ZERO();
    }
  }
  const float *x = t->panel;
  const uint8_t *weights = t->weights + output * t->weight_stride;
  int64_t step = distance * t->weight_stride;
  int64_t whole = t->columns / GROUP;
  int64_t groups = (t->columns + GROUP - 1) / GROUP;
  for (int64_t group = 0; group < groups; group++, x += GROUP * rows) {
#pragma GCC unroll 4
    for (int o = 0; o < outputs; o++) {
      lanes w[GROUP_LANES];
      if (type <= BF16 && group == whole) {
        widen_rest(type, weights + o * step, t->columns, w);
      } else {
        widen(type, weights + o * step, group, w);
      }
#pragma GCC unroll 4
      for (int i = 0; i < GROUP_LANES; i++) {
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
          sums[r][o] = MULTIPLY_ADD(LOAD(x + (i * rows + r) * LANES), w[i], sums[r][o]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
    for (int o = 0; o < outputs; o++) {
      if (r < t->rows) {
        put(t, r, output + o * distance, sums[r][o]);
      }
    }
  }
}

INLINE void few_rows(const struct linear_tile *t, enum type type, const int rows,
                     const int outputs) {
  pack_rows(t, rows);
  int64_t each = t->outputs / outputs;
  for (int64_t output = 0; output < each; output++) {
    multiply_few(t, type, rows, outputs, output, each);
  }
  for (int64_t output = each * outputs; output < t->outputs; output++) {
    multiply_few(t, type, rows, 1, output, 1);
  }
}

/* Widens the weights of some outputs, vectors of neighbouring outputs beside each other. */
INLINE void fill_panel(const struct linear_tile *t, enum type type, int64_t output,
                       int64_t outputs) {
  int64_t groups = t->columns / GROUP;
  int64_t rest = t->columns - groups * GROUP;
  int64_t all = groups + (rest > 0);
  for (int64_t o = 0; o < outputs; o++) {
    const uint8_t *weights = t->weights + (output + o) * t->weight_stride;
    float *to = t->panel + o / TILE_OUTPUTS * TILE_OUTPUTS * all * GROUP + o % TILE_OUTPUTS * LANES;
    for (int64_t group = 0; group < all; group++) {
      lanes w[GROUP_LANES];
      if (type <= BF16 && group == groups) {
        widen_rest(type, weights, t->columns, w);
      } else {
        widen(type, weights, group, w);
      }
      for (int i = 0; i < GROUP_LANES; i++, to += TILE_OUTPUTS * LANES) {
        STORE(to, w[i]);
      }
    }
  }
}

/* Four rows times a tile of widened outputs. One copy for all types, whose sums stay in registers. */
static __attribute__((noinline)) void multiply_tile(const struct linear_tile *t, const float *panel, int64_t row,
                          int64_t output, int64_t outputs) {
  lanes sums[TILE_ROWS][TILE_OUTPUTS];
#pragma GCC unroll 4
  for (int r = 0; r < TILE_ROWS; r++) {
#pragma GCC unroll 6
    for (int o = 0; o < TILE_OUTPUTS; o++) {
      sums[r][o] = ZERO();
    }
  }
  const char *x = (const char *)x_row(t, row);
  int64_t stride = t->x_stride;
  int64_t vectors = t->columns / LANES;
  const float *end = panel + vectors * TILE_OUTPUTS * LANES;
  for (; panel < end; panel += TILE_OUTPUTS * LANES, x += LANES * sizeof(float)) {
    lanes w[TILE_OUTPUTS];
#pragma GCC unroll 6
    for (int o = 0; o < TILE_OUTPUTS; o++) {
      w[o] = LOAD(panel + o * LANES);
    }
#pragma GCC unroll 4
    for (int r = 0; r < TILE_ROWS; r++) {
      lanes from = LOAD((const float *)(x + r * stride));
#pragma GCC unroll 6
      for (int o = 0; o < TILE_OUTPUTS; o++) {
        sums[r][o] = MULTIPLY_ADD(from, w[o], sums[r][o]);
      }
    }
  }
  int64_t rest = t->columns - vectors * LANES;
#pragma GCC unroll 4
  for (int r = 0; r < TILE_ROWS; r++) {
    float padded[LANES] = {0};
    if (rest) {
      memcpy(padded, x + r * stride, (size_t)rest * sizeof(float));
    }
#pragma GCC unroll 6
    for (int o = 0; o < TILE_OUTPUTS; o++) {
      if (rest) {
        sums[r][o] = MULTIPLY_ADD(LOAD(padded), LOAD(panel + o * LANES), sums[r][o]);
      }
      if (o < outputs) {
        put(t, row + r, output + o, sums[r][o]);
      }
    }
  }
}

INLINE void many_rows(const struct linear_tile *t, enum type type) {
  int64_t padded = (t->columns + GROUP - 1) / GROUP * GROUP;
  for (int64_t output = 0; output < t->outputs; output += t->panel_outputs) {
    int64_t left = t->outputs - output;
    int64_t outputs = left < t->panel_outputs ? left : t->panel_outputs;
    fill_panel(t, type, output, outputs);
    for (int64_t next = 0; next < t->rows; next += TILE_ROWS) {
      /* The last tile may compute rows once more: they come out the same. */
      int64_t row = next + TILE_ROWS <= t->rows ? next : t->rows - TILE_ROWS;
      for (int64_t o = 0; o < outputs; o += TILE_OUTPUTS) {
        multiply_tile(t, t->panel + o * padded, row, output + o, outputs - o);
      }
    }
  }
}

/* A function for each type and number of rows: in a larger one the compiler spills sums. */
#define FEW(type, rows, outputs)                                                                   \
  static __attribute__((noinline)) void few_##type##_##rows(const struct linear_tile *t) {         \
    few_rows(t, type, rows, outputs);                                                              \
  }

#define PRODUCTS(type)                                                                             \
  FEW(type, 1, 4)                                                                                  \
  FEW(type, 2, 4)                                                                                  \
  FEW(type, 4, LANES == 16 ? 4 : 3)                                                                \
  static void multiply_##type(const struct linear_tile *t) {                                       \
    if (t->rows > FEW_ROWS) {                                                                      \
      many_rows(t, type);                                                                          \
    } else if (t->rows > TILE_ROWS) {                                                              \
      struct linear_tile part = some_rows(t, 0, TILE_ROWS);                                        \
      few_##type##_4(&part);                                                                       \
      part = some_rows(t, TILE_ROWS, t->rows - TILE_ROWS);                                         \
      multiply_##type(&part);                                                                      \
    } else if (t->rows > 2) {                                                                      \
      few_##type##_4(t);                                                                           \
    } else if (t->rows > 1) {                                                                      \
      few_##type##_2(t);                                                                           \
    } else {                                                                                       \
      few_##type##_1(t);                                                                           \
    }                                                                                              \
  }

PRODUCTS(F32)
PRODUCTS(F16)
PRODUCTS(BF16)
PRODUCTS(Q8_0)
PRODUCTS(Q4_0)
PRODUCTS(Q4_1)
PRODUCTS(Q5_0)
PRODUCTS(Q5_1)
PRODUCTS(Q4_K)
PRODUCTS(Q5_K)
PRODUCTS(Q6_K)

void flotilla_linear(const struct linear_tile *t) {
  switch (t->type) {
  case F32: multiply_F32(t); break;
  case F16: multiply_F16(t); break;
  case BF16: multiply_BF16(t); break;
  case Q8_0: multiply_Q8_0(t); break;
  case Q4_0: multiply_Q4_0(t); break;
  case Q4_1: multiply_Q4_1(t); break;
  case Q5_0: multiply_Q5_0(t); break;
  case Q5_1: multiply_Q5_1(t); break;
  case Q4_K: multiply_Q4_K(t); break;
  case Q5_K: multiply_Q5_K(t); break;
  case Q6_K: multiply_Q6_K(t); break;
  default: __builtin_unreachable();
  }
}
