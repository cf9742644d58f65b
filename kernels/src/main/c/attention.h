/*
 * Causal attention over paged keys and values, with an online softmax (arXiv 1805.02867). Keys are
 * walked in chunks that begin at multiples of CHUNK positions, so that a row's result depends on
 * its position and on what is cached before it alone. Scores have tokens in their lanes and values
 * elements of the head. KvLayout.java says where keys and values lie.
 */
#pragma once

#include "lanes.h"

#define CHUNK 128
#define QUERIES 4

/* One key-value head for adjacent rows of a sequence; strides are bytes. */
struct attention_tile {
  const char *queries; /* of the first row and of the head's first query head, as out */
  int64_t query_stride;
  int64_t query_group; /* bytes from a row's heads to the next heads of the same row */
  char *out;
  int64_t out_stride;
  int64_t out_group;
  const int32_t *block_table;
  const char *keys; /* of block 0, this head */
  const char *values;
  int64_t key_block;
  int64_t value_block;
  int64_t value_stride;
  int64_t block_size;
  int64_t head_dim;
  int64_t heads; /* query heads of a key-value head */
  int64_t group_heads; /* that lie next to each other */
  int64_t part;        /* the tokens at positions of this remainder are there, of parts */
  int64_t parts;
  int64_t partial; /* leaves sums undivided; largest scores and sums of weights follow them */
  int64_t rows;
  int64_t position; /* of the first row */
  float scale;
  float *scratch; /* rows * heads, rounded up to QUERIES, times SCRATCH_FLOATS of a query */
};

/* A tile being computed; all of it lies in the tile's scratch. */
struct attention {
  const struct attention_tile *tile;
  int64_t queries; /* a multiple of QUERIES */
  int64_t row; /* floats of a head, whole vectors of any width */
  int64_t end; /* tokens that the last row sees */
  float *query;
  float *sum;
  float *scores;
  float *weight_sum;
  float *largest;
  float *rescaling;
};

/* Where the first element of a query lies, or of what comes of it. */
INLINE int64_t offset(const struct attention_tile *t, int64_t q, int64_t stride, int64_t group) {
  int64_t head = q % t->heads;
  return q / t->heads * stride + head / t->group_heads * group +
         head % t->group_heads * t->head_dim * (int64_t)sizeof(float);
}

/* Tokens that are there up to a row's own. */
INLINE int64_t held(const struct attention_tile *t, int64_t row) {
  return (t->position + row + t->parts - t->part) / t->parts;
}

INLINE void place(struct attention *a, const struct attention_tile *t) {
  a->tile = t;
  a->queries = (t->rows * t->heads + QUERIES - 1) / QUERIES * QUERIES;
  a->row = t->value_stride / (int64_t)sizeof(float);
  a->end = held(t, t->rows - 1);
  a->query = t->scratch;
  a->sum = a->query + a->queries * a->row;
  a->scores = a->sum + a->queries * a->row;
  a->weight_sum = a->scores + a->queries * CHUNK;
  a->largest = a->weight_sum + a->queries * 16;
  a->rescaling = a->largest + a->queries;
  memset(t->scratch, 0, (size_t)((char *)(a->rescaling + a->queries) - (char *)t->scratch));
  for (int64_t q = 0; q < a->queries; q++) {
    a->largest[q] = -__FLT_MAX__; /* finite, so that weights of no tokens are no NaN */
  }
  for (int64_t q = 0; q < t->rows * t->heads; q++) {
    const float *from =
        (const float *)(t->queries + offset(t, q, t->query_stride, t->query_group));
    for (int64_t i = 0; i < t->head_dim; i++) {
      a->query[q * a->row + i] = from[i] * t->scale;
    }
  }
}

INLINE const float *key_vector(const struct attention_tile *t, int64_t position) {
  int64_t block = t->block_table[position / t->block_size];
  return (const float *)(t->keys + block * t->key_block) + position % t->block_size;
}

INLINE const char *value_vector(const struct attention_tile *t, int64_t position) {
  int64_t block = t->block_table[position / t->block_size];
  return t->values + block * t->value_block + position % t->block_size * t->value_stride;
}

/*
 * The scores of four queries with the keys of a chunk, two vectors of keys at a time. The first
 * queries fetch the chunk's values meanwhile, which are read in strides else.
 */
INLINE void score(const struct attention *a, int64_t first_query, int64_t from, int64_t count,
                  const int fetch) {
  const struct attention_tile *t = a->tile;
  for (int64_t token = 0; token < count; token += 2 * LANES) {
    const float *keys = key_vector(t, from + token);
    const float *others = token + LANES < count ? key_vector(t, from + token + LANES) : keys;
    const char *values = value_vector(t, from + token);
    const char *more = token + LANES < count ? value_vector(t, from + token + LANES) : values;
    const float *q = a->query + first_query * a->row;
    lanes sums[QUERIES][2];
#pragma GCC unroll 4
    for (int i = 0; i < QUERIES; i++) {
      sums[i][0] = ZERO();
      sums[i][1] = ZERO();
    }
    for (int64_t d = 0; d < t->head_dim; d++) {
      lanes k0 = LOAD(keys + d * t->block_size);
      lanes k1 = LOAD(others + d * t->block_size);
      if (fetch) {
        PREFETCH(values + d * LANES * (int64_t)sizeof(float));
        PREFETCH(more + d * LANES * (int64_t)sizeof(float));
      }
#pragma GCC unroll 4
      for (int i = 0; i < QUERIES; i++) {
        lanes element = BROADCAST(q[i * a->row + d]);
        sums[i][0] = MULTIPLY_ADD(element, k0, sums[i][0]);
        sums[i][1] = MULTIPLY_ADD(element, k1, sums[i][1]);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < QUERIES; i++) {
      /* The second vector of an odd last pair lies in the chunk's unused end. */
      float *to = a->scores + (first_query + i) * CHUNK + token;
      STORE(to, sums[i][0]);
      STORE(to + LANES, sums[i][1]);
    }
  }
}

INLINE lanes score_below(const float *scores, int64_t token, int64_t limit) {
  lanes score = LOAD(scores + token);
  if (token + LANES <= limit) {
    return score;
  }
  return first(limit > token ? (int)(limit - token) : 0, score, BROADCAST(-__builtin_inff()));
}

/* Turns the scores below the limit into weights, all others of the chunk into zeros. */
INLINE void weigh(const struct attention *a, int64_t query, int64_t limit, int64_t count) {
  float *scores = a->scores + query * CHUNK;
  float before = a->largest[query];
  lanes largest = BROADCAST(before);
  for (int64_t token = 0; token < count; token += LANES) {
    largest = MAXIMUM(largest, score_below(scores, token, limit));
  }
  float after = largest_lane(largest);
  lanes sum = ZERO();
  for (int64_t token = 0; token < count; token += LANES) {
    lanes score = score_below(scores, token, limit);
    lanes weight = exponential(SUBTRACT(score, BROADCAST(after)));
    STORE(scores + token, weight);
    sum = ADD(sum, weight);
  }
  lanes rescaling = exponential(BROADCAST(before - after));
  float *weight_sum = a->weight_sum + query * 16;
  STORE(weight_sum, MULTIPLY_ADD(LOAD(weight_sum), rescaling, sum));
  float all[LANES];
  STORE(all, rescaling);
  a->largest[query] = after;
  a->rescaling[query] = all[0];
}

/*
 * Rescales the sums of four queries and adds a chunk's weighted values, one or two vectors. The
 * first queries fetch the next chunk's keys meanwhile, each pass over the tokens its share.
 */
INLINE void add_values(const struct attention *a, int64_t first_query, int64_t element,
                       const int vectors, int64_t from, int64_t count, const int fetch) {
  const struct attention_tile *t = a->tile;
  lanes sums[QUERIES][2];
#pragma GCC unroll 4
  for (int i = 0; i < QUERIES; i++) {
    lanes rescaling = BROADCAST(a->rescaling[first_query + i]);
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      const float *at = a->sum + (first_query + i) * a->row + element + v * LANES;
      sums[i][v] = MULTIPLY(LOAD(at), rescaling);
    }
  }
  for (int64_t token = 0; token < count; token += t->block_size) {
    const char *values = value_vector(t, from + token) + element * (int64_t)sizeof(float);
    const float *weights = a->scores + first_query * CHUNK + token;
    int64_t tokens = count - token < t->block_size ? count - token : t->block_size;
    int64_t ahead = from + CHUNK + token < a->end ? from + CHUNK + token : from + token;
    const float *keys = key_vector(t, ahead) + element * t->block_size;
    for (int64_t i = 0; i < tokens; i++, values += t->value_stride) {
      if (fetch) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
          PREFETCH(keys + (i * vectors + v) * LANES);
        }
      }
      lanes value[2];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        value[v] = LOAD((const float *)values + v * LANES);
      }
#pragma GCC unroll 4
      for (int q = 0; q < QUERIES; q++) {
        lanes weight = BROADCAST(weights[q * CHUNK + i]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
          sums[q][v] = MULTIPLY_ADD(weight, value[v], sums[q][v]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < QUERIES; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      STORE(a->sum + (first_query + i) * a->row + element + v * LANES, sums[i][v]);
    }
  }
}

INLINE void add_all_values(const struct attention *a, int64_t first_query, int64_t from,
                           int64_t count, const int fetch) {
  int64_t element = 0;
  for (; element + 2 * LANES <= a->row; element += 2 * LANES) {
    add_values(a, first_query, element, 2, from, count, fetch);
  }
  if (element < a->row) {
    add_values(a, first_query, element, 1, from, count, fetch);
  }
}

INLINE void finish(const struct attention *a) {
  const struct attention_tile *t = a->tile;
  for (int64_t q = 0; q < t->rows * t->heads; q++) {
    float weights = sum_of_lanes(LOAD(a->weight_sum + q * 16));
    float inverse = t->partial ? 1.0f : 1.0f / weights;
    float *to = (float *)(t->out + offset(t, q, t->out_stride, t->out_group));
    for (int64_t i = 0; i < t->head_dim; i++) {
      to[i] = a->sum[q * a->row + i] * inverse;
    }
    if (t->partial) {
      int64_t head = q % t->heads % t->group_heads;
      float *largest = to + (t->group_heads - head) * t->head_dim + head;
      largest[0] = a->largest[q];
      largest[t->group_heads] = weights;
    }
  }
}

void flotilla_attention(const struct attention_tile *t) {
  struct attention a;
  place(&a, t);
  for (int64_t from = 0; from < a.end; from += CHUNK) {
    int64_t count = a.end - from < CHUNK ? a.end - from : CHUNK;
    score(&a, 0, from, count, 1);
    for (int64_t q = QUERIES; q < a.queries; q += QUERIES) {
      score(&a, q, from, count, 0);
    }
    for (int64_t q = 0; q < t->rows * t->heads; q++) {
      int64_t limit = held(t, q / t->heads) - from;
      weigh(&a, q, limit < count ? limit : count, count);
    }
    add_all_values(&a, 0, from, count, 1);
    for (int64_t q = QUERIES; q < a.queries; q += QUERIES) {
      add_all_values(&a, q, from, count, 0);
    }
  }
  finish(&a);
}
