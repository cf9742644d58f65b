// What attention of single rows and of prompts share: a running softmax over tiles of keys and values in
// shared memory, and what ranks leave that hold parts of a context.
#pragma once

constexpr float LOG2_E = 1.4426950408889634f;

// Sequences whose tokens some ranks hold between them: each rank attends to its own, with the queries
// of all, and leaves sums that are not divided yet. Without them all of this is unused.
struct Spread {
  float* out;  // [part][row][heads * D + 2 * heads]: sums, then largest scores, then weights
  long stride;
  int part;
  int parts;
  int rows;   // of a part
  int heads;  // of a part

  // Tokens that this rank holds up to a position, that one included.
  __device__ __forceinline__ int held(int position) const {
    return (position + parts - part) / parts;
  }

  // The row of a head's queries, of the parts' heads one after another.
  __device__ __forceinline__ long row_of(int row, int head) const {
    return (long)(head / heads) * rows + row;
  }

  template <int D>
  __device__ __forceinline__ float* sums(int row, int head) const {
    return out + row_of(row, head) * stride + (long)(head % heads) * D;
  }

  // The largest score in base 2 as it is in base e, and the weight.
  template <int D>
  __device__ __forceinline__ void put_weight(int row, int head, float largest, float weight) const {
    float* to = out + row_of(row, head) * stride + (long)heads * D + head % heads;
    to[0] = largest / LOG2_E;
    to[heads] = weight;
  }
};

static_assert(sizeof(Spread) == 32, "CudaAttention lays it out");

// What a warp knows of its pages: sums of values, largest score and sum of weights of rows g, g + 8.
template <int D>
struct RunningSoftmax {
  float sums[D / 8][4];
  float largest[2];
  float weight[2];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
      sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
    }
    largest[0] = largest[1] = -INFINITY;
    weight[0] = weight[1] = 0;
  }
};

// Takes in N / 8 tiles of scores (base 2, masked with -infinity), turns them into weights.
template <int D, int N>
__device__ __forceinline__ void take_scores(RunningSoftmax<D>& state, float (&scores)[N][4]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float largest = state.largest[half];
#pragma unroll
    for (int i = 0; i < N; i++) {
      largest = fmaxf(largest, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
    }
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 2));
    // A row that has seen no key yet has no number to subtract.
    float base = largest == -INFINITY ? 0 : largest;
    float shrink = fast_exp2(state.largest[half] - base);
    float weight = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
      scores[i][2 * half] = fast_exp2(scores[i][2 * half] - base);
      scores[i][2 * half + 1] = fast_exp2(scores[i][2 * half + 1] - base);
      weight += scores[i][2 * half] + scores[i][2 * half + 1];
    }
    state.weight[half] = state.weight[half] * shrink + weight;
    state.largest[half] = largest;
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
      state.sums[i][2 * half] *= shrink;
      state.sums[i][2 * half + 1] *= shrink;
    }
  }
}

// state.sums += weights [16 x 16] times values [16 x D] in shared memory.
template <int D>
__device__ __forceinline__ void add_values(RunningSoftmax<D>& state, float (&first)[4],
                                           float (&second)[4], uint32_t values, int row, int lane) {
  uint32_t a0 = pack(first[0], first[1]);
  uint32_t a1 = pack(first[2], first[3]);
  uint32_t a2 = pack(second[0], second[1]);
  uint32_t a3 = pack(second[2], second[3]);
  int token = row + (lane / 8 % 2) * 8 + lane % 8;
#pragma unroll
  for (int i = 0; i < D / 16; i++) {
    uint32_t b[4];
    load_matrices_transposed(b, values + swizzled<D / 8>(token, 2 * i + lane / 16));
    multiply_add(state.sums[2 * i], a0, a1, a2, a3, b[0], b[1]);
    multiply_add(state.sums[2 * i + 1], a0, a1, a2, a3, b[2], b[3]);
  }
}

// scores [16 x 16] of the rows' queries against 16 keys from row `row` in shared memory.
template <int D>
__device__ __forceinline__ void score_keys(float (&first)[4], float (&second)[4],
                                           const uint32_t (&queries)[D / 16][4], uint32_t keys,
                                           int row, int lane) {
  int token = row + (lane / 16) * 8 + lane % 8;
#pragma unroll
  for (int i = 0; i < D / 16; i++) {
    uint32_t b[4];
    load_matrices(b, keys + swizzled<D / 8>(token, 2 * i + lane / 8 % 2));
    multiply_add(first, queries[i][0], queries[i][1], queries[i][2], queries[i][3], b[0], b[1]);
    multiply_add(second, queries[i][0], queries[i][1], queries[i][2], queries[i][3], b[2], b[3]);
  }
}
