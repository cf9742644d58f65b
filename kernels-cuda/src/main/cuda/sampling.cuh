// The choice of a token where it needs no sorting: greedy, or temperature and min-p.
#pragma once

struct Draw {
  double score;
  int id;
};

__device__ __forceinline__ bool beats(Draw a, Draw b) {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
}

__device__ __forceinline__ Draw best_of_block(Draw mine) {
  __shared__ double scores[32];
  __shared__ int ids[32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    Draw other = {__shfl_xor_sync(0xffffffff, mine.score, offset),
                  __shfl_xor_sync(0xffffffff, mine.id, offset)};
    mine = beats(other, mine) ? other : mine;
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    scores[threadIdx.x / 32] = mine.score;
    ids[threadIdx.x / 32] = mine.id;
  }
  __syncthreads();
  Draw best = {scores[0], ids[0]};
  for (int i = 1; i < blockDim.x / 32; i++) {
    Draw other = {scores[i], ids[i]};
    best = beats(other, best) ? other : best;
  }
  return best;
}

// How a row is sampled, as the host lays it out.
struct RowSampling {
  uint64_t key;       // of the noise: seed, choice and index of the token
  float temperature;  // 0 is greedy
  float least;        // of (logit - largest) / temperature
  int slot;           // of the sequence, or -1 for padding
  int unused;
};

// One block a row. samples[r] and last[slot] get the id, or -1 (last: 0) when no logit is a number.
// Noise as on the host: Gumbel from the upper 52 bits of SplitMix64 of (key, id), in double.
extern "C" __global__ void __launch_bounds__(1024)
    sample(const float* logits, long stride, int vocabulary, const RowSampling* rows, int* samples,
           int* last) {
  wait_for_previous();
  let_next_start();
  RowSampling how = rows[blockIdx.x];
  if (how.slot < 0) {
    return;
  }
  const float* row = logits + blockIdx.x * stride;
  const int none = 0x7fffffff;
  Draw largest = {-INFINITY, none};
  for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    float logit = row[id];
    // False for what is not a number.
    if (logit < INFINITY && logit > largest.score) {
      largest = {logit, id};
    }
  }
  Draw chosen = best_of_block(largest);
  if (how.temperature > 0 && chosen.id != none) {
    float top = (float)chosen.score;
    Draw best = {-INFINITY, none};
    for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
      float value = (row[id] - top) / how.temperature;
      if (!(value >= how.least && value <= 0)) {
        continue;
      }
      uint64_t bits = mix(how.key + (uint64_t)(id + 1) * 0x9e3779b97f4a7c15ull);
      if (value + (__clzll(bits) + 1) * 0.6931471805599454 < best.score) {
        continue;
      }
      double uniform = ((bits >> 12) + 0.5) * 0x1p-52;
      double score = value - log(-log1p(-uniform));
      if (score > best.score) {
        best = {score, id};
      }
    }
    chosen = best_of_block(best);
  }
  if (threadIdx.x == 0) {
    int id = chosen.id == none ? -1 : chosen.id;
    samples[blockIdx.x] = id;
    last[how.slot] = max(id, 0);
  }
}

// ids[r] = last[slots[r]] where slots[r] is not negative: tokens the host has not seen.
extern "C" __global__ void take_last_samples(int* ids, const int* slots, const int* last, int rows) {
  wait_for_previous();
  let_next_start();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < rows && slots[i] >= 0) {
    ids[i] = last[slots[i]];
  }
}
