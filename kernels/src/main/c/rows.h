/* What is computed row by row. */
#pragma once

#include "lanes.h"

struct row {
  float *to;
  const float *from;
  const float *other;
  int64_t columns;
  float number; /* a scale or an epsilon */
};

/* to += from */
void flotilla_add(const struct row *r) {
  for (int64_t i = 0; i < r->columns; i++) {
    r->to[i] += r->from[i];
  }
}

/* to += number * from */
void flotilla_add_scaled(const struct row *r) {
  for (int64_t i = 0; i < r->columns; i++) {
    r->to[i] += r->number * r->from[i];
  }
}

/* to = from / sqrt(mean(from^2) + number) * other; to may be from */
void flotilla_normalise(const struct row *r) {
  int64_t whole = r->columns / LANES * LANES;
  lanes squares = ZERO();
  for (int64_t i = 0; i < whole; i += LANES) {
    lanes value = LOAD(r->from + i);
    squares = MULTIPLY_ADD(value, value, squares);
  }
  double sum = sum_of_lanes(squares);
  for (int64_t i = whole; i < r->columns; i++) {
    sum += r->from[i] * r->from[i];
  }
  float scale = (float)(1 / __builtin_sqrt(sum / (double)r->columns + r->number));
  for (int64_t i = 0; i < r->columns; i++) {
    r->to[i] = r->from[i] * scale * r->other[i];
  }
}

/* Adds up floats that lie at several addresses, in their order, and stores the sums at several. */
struct sum {
  int64_t sources;
  int64_t targets;
  int64_t offset; /* bytes to add to each address */
  int64_t count;  /* floats */
  char *addresses[]; /* sources, then targets */
};

#define MOST_SUMMANDS 64

/* A call with constants keeps all addresses in registers: a store might change them in memory. */
INLINE void sum(const struct sum *s, const int64_t sources, const int64_t targets) {
  float *at[2 * MOST_SUMMANDS];
  for (int64_t i = 0; i < sources + targets; i++) {
    at[i] = (float *)(s->addresses[i] + s->offset);
  }
  int64_t whole = s->count / LANES * LANES;
  for (int64_t i = 0; i < whole; i += LANES) {
    lanes value = LOAD(at[0] + i);
#pragma GCC unroll 8
    for (int64_t source = 1; source < sources; source++) {
      value = ADD(value, LOAD(at[source] + i));
    }
#pragma GCC unroll 8
    for (int64_t target = sources; target < sources + targets; target++) {
      STORE(at[target] + i, value);
    }
  }
  for (int64_t i = whole; i < s->count; i++) {
    float value = at[0][i];
    for (int64_t source = 1; source < sources; source++) {
      value += at[source][i];
    }
    for (int64_t target = sources; target < sources + targets; target++) {
      at[target][i] = value;
    }
  }
}

/* At most MOST_SUMMANDS sources, and as many targets. */
void flotilla_sum(const struct sum *s) {
  if (s->sources == 2 && s->targets == 2) {
    sum(s, 2, 2);
  } else if (s->sources == 4 && s->targets == 4) {
    sum(s, 4, 4);
  } else {
    sum(s, s->sources, s->targets);
  }
}

INLINE lanes silu(lanes x) {
  return DIVIDE(x, ADD(exponential(SUBTRACT(ZERO(), x)), BROADCAST(1.0f)));
}

/* to = silu(from) * other */
void flotilla_gate(const struct row *r) {
  int64_t whole = r->columns / LANES * LANES;
  for (int64_t i = 0; i < whole; i += LANES) {
    STORE(r->to + i, MULTIPLY(silu(LOAD(r->from + i)), LOAD(r->other + i)));
  }
  if (whole < r->columns) {
    size_t bytes = (size_t)(r->columns - whole) * sizeof(float);
    float gate[LANES] = {0};
    float up[LANES] = {0};
    memcpy(gate, r->from + whole, bytes);
    memcpy(up, r->other + whole, bytes);
    STORE(gate, MULTIPLY(silu(LOAD(gate)), LOAD(up)));
    memcpy(r->to + whole, gate, bytes);
  }
}

/* Rotates pairs of elements of to, half a head apart; other has cosines, then sines. */
void flotilla_rotate_halves(const struct row *r) {
  float *second = r->to + r->columns;
  const float *sine = r->other + r->columns;
  for (int64_t i = 0; i < r->columns; i++) {
    float a = r->to[i];
    float b = second[i];
    r->to[i] = a * r->other[i] - b * sine[i];
    second[i] = b * r->other[i] + a * sine[i];
  }
}
