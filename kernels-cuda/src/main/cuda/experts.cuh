// Mixtures of experts: who computes which row, and what gathers the rows again.
#pragma once

// A pair is a row and one of its experts: pair p is of row p / per_token. Pairs are sorted by
// expert; an item is some neighbours of one expert that one block computes.
struct ExpertItem {
  int expert;  // among those of this rank
  int first;   // of the sorted pairs
  int count;
  int unused;
};

// What routing leaves in memory.
struct Routing {
  int* experts;       // of each pair, among those of this rank, or -1
  float* weights;     // of each pair
  int* sorted;        // pairs, by expert
  ExpertItem* items;  //
  int* item_count;    //
};

// Larger keys for larger floats, none of them 0; what is no number is the smallest.
__device__ __forceinline__ uint32_t ordered_key(float value) {
  uint32_t bits = __float_as_uint(value == value ? value : -INFINITY);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float ordered_value(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

__device__ __forceinline__ uint32_t largest_of_warp(uint32_t value) {
  return __reduce_max_sync(0xffffffff, value);
}

struct RouteArguments {
  const float* logits;
  long stride;
  int rows;
  int experts;        // of the model
  int per_token;      // at most 32
  int first_expert;   // of this rank
  int local_experts;  // of this rank
  int normalised;
  Routing routing;
};

// An expert of a row, among those of this rank or -1, and its weight.
struct Choice {
  int expert;
  float weight;
};

// Lane k of a warp gets the row's choice k: the experts with the largest logits, of equals the first,
// and their softmax over all experts. An expert's weight is never 0.
template <int SLOTS>
__device__ __forceinline__ Choice choose_experts(const RouteArguments& args, int row) {
  constexpr float LEAST = 1.17549435e-38f;
  int lane = threadIdx.x % 32;
  const float* logits = args.logits + row * args.stride;
  uint32_t keys[SLOTS];
  uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < SLOTS; i++) {
    int expert = i * 32 + lane;
    keys[i] = expert < args.experts ? ordered_key(logits[expert]) : 0;
    largest = max(largest, keys[i]);
  }
  float top = ordered_value(largest_of_warp(largest));
  float sum = 0;
#pragma unroll
  for (int i = 0; i < SLOTS; i++) {
    sum += keys[i] != 0 ? fmaxf(LEAST, __expf(ordered_value(keys[i]) - top)) : 0;
  }
  sum = sum_over_warp(sum);
  int mine = 0;
  uint32_t key = 0;
  for (int k = 0; k < args.per_token; k++) {
    uint32_t best = 0;
#pragma unroll
    for (int i = 0; i < SLOTS; i++) {
      best = max(best, keys[i]);
    }
    best = largest_of_warp(best);
    int expert = 0x7fffffff;
#pragma unroll
    for (int i = SLOTS - 1; i >= 0; i--) {
      expert = keys[i] == best ? i * 32 + lane : expert;
    }
    expert = __reduce_min_sync(0xffffffff, expert);
#pragma unroll
    for (int i = 0; i < SLOTS; i++) {
      keys[i] = i * 32 + lane == expert ? 0 : keys[i];
    }
    mine = lane == k ? expert : mine;
    key = lane == k ? best : key;
  }
  float weight =
      lane < args.per_token ? fmaxf(LEAST, __expf(ordered_value(key) - top)) / sum : 0;
  float chosen = sum_over_warp(weight);
  int local = mine - args.first_expert;
  return {local >= 0 && local < args.local_experts ? local : -1,
          args.normalised ? weight / chosen : weight};
}

// A warp a row.
template <int SLOTS>
__device__ __forceinline__ void route_row(const RouteArguments& args) {
  int lane = threadIdx.x % 32;
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  wait_for_previous();
  let_next_start();
  if (row >= args.rows) {
    return;
  }
  Choice choice = choose_experts<SLOTS>(args, row);
  if (lane < args.per_token) {
    int pair = row * args.per_token + lane;
    args.routing.experts[pair] = choice.expert;
    args.routing.weights[pair] = choice.weight;
  }
}

extern "C" __global__ void __launch_bounds__(256)
    route_128(const __grid_constant__ RouteArguments args) {
  route_row<4>(args);
}

extern "C" __global__ void __launch_bounds__(256)
    route_512(const __grid_constant__ RouteArguments args) {
  route_row<16>(args);
}

// One block: sorts pairs by expert and cuts each expert's into items of at most `tile`.
extern "C" __global__ void __launch_bounds__(1024)
    sort_pairs(Routing routing, int pairs, int local_experts, int tile) {
  __shared__ int counts[512];
  __shared__ int2 sums[2][512];
  int e = threadIdx.x;
  if (e < 512) {
    counts[e] = 0;
  }
  __syncthreads();
  wait_for_previous();
  let_next_start();
  for (int pair = e; pair < pairs; pair += blockDim.x) {
    int expert = routing.experts[pair];
    if (expert >= 0) {
      atomicAdd(&counts[expert], 1);
    }
  }
  __syncthreads();
  // Sums of pairs and of items over all experts up to each.
  int mine = e < 512 ? counts[e] : 0;
  int items = (mine + tile - 1) / tile;
  int from = 0;
  if (e < 512) {
    sums[0][e] = make_int2(mine, items);
  }
  for (int step = 1; step < 512; step *= 2) {
    __syncthreads();
    if (e < 512) {
      int2 sum = sums[from][e];
      if (e >= step) {
        sum.x += sums[from][e - step].x;
        sum.y += sums[from][e - step].y;
      }
      sums[1 - from][e] = sum;
    }
    from = 1 - from;
  }
  __syncthreads();
  if (e < 512) {
    int2 end = sums[from][e];
    int first = end.x - mine;
    counts[e] = first;
    for (int i = 0; i < items; i++) {
      routing.items[end.y - items + i] = {e, first + i * tile, min(tile, mine - i * tile), 0};
    }
    if (e == local_experts - 1) {
      *routing.item_count = end.y;
    }
  }
  __syncthreads();
  for (int pair = e; pair < pairs; pair += blockDim.x) {
    int expert = routing.experts[pair];
    if (expert >= 0) {
      routing.sorted[atomicAdd(&counts[expert], 1)] = pair;
    }
  }
}

// out[r] = the sum of the results of the row's pairs on this rank. Columns are a multiple of eight.
extern "C" __global__ void sum_pairs(const bf16* results, const int* experts, int per_token,
                                     int columns, bf16* out, long out_stride) {
  int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  wait_for_previous();
  let_next_start();
  if (i >= columns) {
    return;
  }
  float sums[8] = {};
  for (int k = 0; k < per_token; k++) {
    long pair = (long)blockIdx.y * per_token + k;
    if (experts[pair] < 0) {
      continue;
    }
    uint4 part = *reinterpret_cast<const uint4*>(results + pair * columns + i);
    uint32_t words[4] = {part.x, part.y, part.z, part.w};
#pragma unroll
    for (int j = 0; j < 4; j++) {
      float2 two = __bfloat1622float2(*reinterpret_cast<bf162*>(&words[j]));
      sums[2 * j] += two.x;
      sums[2 * j + 1] += two.y;
    }
  }
  *reinterpret_cast<uint4*>(out + blockIdx.y * out_stride + i) =
      make_uint4(pack(sums[0], sums[1]), pack(sums[2], sums[3]), pack(sums[4], sums[5]),
                 pack(sums[6], sums[7]));
}
