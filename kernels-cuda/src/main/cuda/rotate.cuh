// Head norms, rotation and the write to the KV cache, in one pass over the fused projection.
#pragma once

// Where a cache that has each `parts`th token, from `part` on, has the one at a position: the place in
// its block, which holds [kv head][token][head_dim], and -1 where it has not.
struct CacheTokens {
  const int* block_tables;
  int table_stride;
  int kv_heads;
  int block_size;
  int part;
  int parts;

  __device__ __forceinline__ long slot(int sequence, int position, int kv_head) const {
    int token = position / parts;
    if (position % parts != part) {
      return -1;
    }
    long block = block_tables[(long)sequence * table_stride + token / block_size];
    return (block * kv_heads + kv_head) * block_size + token % block_size;
  }
};

static_assert(sizeof(CacheTokens) == 32, "CudaOps lays it out");

// A warp a head. Queries and keys are rotated in place; keys and values go to the cache. Rows at a
// negative position are padding. Head dimension at most 256.
extern "C" __global__ void __launch_bounds__(256)
    rotate_and_store(bf16* qkv, long stride, const float* query_norm, const float* key_norm,
                     float epsilon, const float* angles, int interleaved, const int* positions,
                     const int* row_sequences, const __grid_constant__ CacheTokens tokens, int heads,
                     int head_dim, bf16* keys, bf16* values) {
  int head = blockIdx.y * 8 + threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int row = blockIdx.x;
  int kv_heads = tokens.kv_heads;
  int position = positions[row];
  if (head >= heads + 2 * kv_heads || position < 0) {
    wait_for_previous();
    return;
  }
  bf16* from = qkv + row * stride + (long)head * head_dim;
  bool query = head < heads;
  bool value = head >= heads + kv_heads;
  long slot = query ? -1 : tokens.slot(row_sequences[row], position, (head - heads) % kv_heads);
  bf16* stored = slot < 0 ? nullptr : (value ? values : keys) + slot * head_dim;
  int half = head_dim / 2;
  const float* norm = value ? nullptr : query ? query_norm : key_norm;
  const float* turn = angles + (long)position * head_dim;
  float weights[4][2];
  float cosine[4];
  float sine[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int pair = lane + 32 * i;
    if (pair < half) {
      weights[i][0] = norm == nullptr ? 1 : norm[interleaved ? 2 * pair : pair];
      weights[i][1] = norm == nullptr ? 1 : norm[interleaved ? 2 * pair + 1 : pair + half];
      cosine[i] = value ? 1 : turn[pair];
      sine[i] = value ? 0 : turn[half + pair];
    }
  }
  // All else was there before this step.
  wait_for_previous();
  let_next_start();
  float first[4];
  float second[4];
  float squares = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int pair = lane + 32 * i;
    if (pair < half) {
      first[i] = __bfloat162float(from[interleaved ? 2 * pair : pair]);
      second[i] = __bfloat162float(from[interleaved ? 2 * pair + 1 : pair + half]);
      squares += first[i] * first[i] + second[i] * second[i];
    }
  }
  float scale = norm == nullptr ? 1 : rsqrtf(sum_over_warp(squares) / head_dim + epsilon);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int pair = lane + 32 * i;
    if (pair < half) {
      int one = interleaved ? 2 * pair : pair;
      int other = interleaved ? 2 * pair + 1 : pair + half;
      float x = first[i] * (scale * weights[i][0]);
      float y = second[i] * (scale * weights[i][1]);
      bf16 turned = __float2bfloat16_rn(x * cosine[i] - y * sine[i]);
      bf16 other_turned = __float2bfloat16_rn(y * cosine[i] + x * sine[i]);
      if (!value) {
        from[one] = turned;
        from[other] = other_turned;
      }
      if (stored != nullptr) {
        stored[one] = turned;
        stored[other] = other_turned;
      }
    }
  }
}
