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

INLINE float *summand(const struct sum *s, int64_t index) {
  return (float *)(s->addresses[index] + s->offset);
}

void flotilla_sum(const struct sum *s) {
  int64_t whole = s->count / LANES * LANES;
  int64_t all = s->sources + s->targets;
  for (int64_t i = 0; i < whole; i += LANES) {
    lanes value = LOAD(summand(s, 0) + i);
    for (int64_t source = 1; source < s->sources; source++) {
      value = ADD(value, LOAD(summand(s, source) + i));
    }
    for (int64_t target = s->sources; target < all; target++) {
      STORE(summand(s, target) + i, value);
    }
  }
  for (int64_t i = whole; i < s->count; i++) {
    float value = summand(s, 0)[i];
    for (int64_t source = 1; source < s->sources; source++) {
      value += summand(s, source)[i];
    }
    for (int64_t target = s->sources; target < all; target++) {
      summand(s, target)[i] = value;
    }
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
