// Head norms, rotation and the write to the KV cache, in one pass over the fused projection.
#pragma once

// A warp a head. Queries are rotated in place; keys and values go to the cache, whose block holds
// [kv head][token][head_dim]. Rows at a negative position are padding. Head dimension at most 256.
extern "C" __global__ void __launch_bounds__(256)
    rotate_and_store(bf16* qkv, long stride, const float* query_norm, const float* key_norm,
                     float epsilon, const float* angles, int interleaved, const int* positions,
                     const int* row_sequences, const int* block_tables, int table_stride, int heads,
                     int kv_heads, int head_dim, int block_size, bf16* keys, bf16* values) {
  wait_for_previous();
  let_next_start();
  int head = blockIdx.y * 8 + threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int row = blockIdx.x;
  int position = positions[row];
  if (head >= heads + 2 * kv_heads || position < 0) {
    return;
  }
  bf16* from = qkv + row * stride + (long)head * head_dim;
  bool query = head < heads;
  bool value = head >= heads + kv_heads;
  bf16* to = from;
  if (!query) {
    int kv_head = (head - heads) % kv_heads;
    long block = block_tables[(long)row_sequences[row] * table_stride + position / block_size];
    long slot = (block * kv_heads + kv_head) * block_size + position % block_size;
    to = (value ? values : keys) + slot * head_dim;
  }
  int half = head_dim / 2;
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
  const float* norm = value ? nullptr : query ? query_norm : key_norm;
  float scale = norm == nullptr ? 1 : rsqrtf(sum_over_warp(squares) / head_dim + epsilon);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int pair = lane + 32 * i;
    if (pair < half) {
      int one = interleaved ? 2 * pair : pair;
      int other = interleaved ? 2 * pair + 1 : pair + half;
      float x = first[i];
      float y = second[i];
      if (norm != nullptr) {
        x *= scale * norm[one];
        y *= scale * norm[other];
      }
      if (!value) {
        float cosine = angles[(long)position * head_dim + pair];
        float sine = angles[(long)position * head_dim + half + pair];
        float turned = x * cosine - y * sine;
        y = y * cosine + x * sine;
        x = turned;
      }
      to[one] = __float2bfloat16_rn(x);
      to[other] = __float2bfloat16_rn(y);
    }
  }
}
