// The products of experts with the few rows that chose each.
#pragma once

struct ExpertArguments {
  const bf16* weights;  // of the rank's first expert
  long expert_stride;   // elements from one expert's matrix to the next
  const bf16* x;        // rows, or what the gates left
  long x_stride;
  bf16* out;
  const int* sorted;
  const ExpertItem* items;
  const int* item_count;
  const float* pair_weights;
  int inputs;
  int outputs;
  int per_token;
};

// Gated: out[position] = weight silu(gate x) up x, of each pair's row, in the order of sorted pairs;
// the gate's rows come before the up matrix's, `outputs` of each. Else: out[pair] = w x[position].

// Few rows an expert: bound by memory; see skinny_linear, which this is for each item. With gates, a
// block's 16 rows of weights are 8 gates and the 8 rows of the up matrix that belong to them, so that
// rows g and g + 8 of a product are a gate and its other factor.
template <int TILES, bool GATED>
__device__ __forceinline__ void expert_skinny(const ExpertArguments& args, ExpertItem item,
                                              const int* sorted, const float* weights) {
  constexpr int WARPS = 8;
  constexpr int STEP = GATED ? 8 : 16;
  __shared__ float partial[WARPS][8 * TILES][17];
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int g = lane / 4;
  int t = lane % 4;
  int base = blockIdx.y * STEP;
  int inputs = args.inputs;
  const bf16* w = args.weights + item.expert * args.expert_stride + t * 8;
  const bf16* upper = w + (long)min(base + g, args.outputs - 1) * inputs;
  const bf16* lower =
      w + (GATED ? (long)(args.outputs + min(base + g, args.outputs - 1))
                 : (long)min(base + g + 8, args.outputs - 1)) *
              inputs;
  const bf16* activations[TILES];
#pragma unroll
  for (int tile = 0; tile < TILES; tile++) {
    int position = item.first + min(tile * 8 + g, item.count - 1);
    long row = GATED ? (sorted == nullptr ? position : sorted[position]) / args.per_token : position;
    activations[tile] = args.x + row * args.x_stride + t * 8;
  }
  float sums[TILES][4] = {};
  const uint4 none = make_uint4(0, 0, 0, 0);
  for (int k = warp * 64; k < inputs; k += WARPS * 64) {
    WeightTile weight;
    load_tile(weight, upper, lower, k, k + t * 8 < inputs, k + 32 + t * 8 < inputs);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      bool inside = k + half * 32 + t * 8 < inputs;
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        uint4 b = inside ? *reinterpret_cast<const uint4*>(activations[tile] + k + half * 32) : none;
        multiply_tile(sums[tile], weight, half, b);
      }
    }
  }
#pragma unroll
  for (int tile = 0; tile < TILES; tile++) {
    partial[warp][tile * 8 + 2 * t][g] = sums[tile][0];
    partial[warp][tile * 8 + 2 * t + 1][g] = sums[tile][1];
    partial[warp][tile * 8 + 2 * t][g + 8] = sums[tile][2];
    partial[warp][tile * 8 + 2 * t + 1][g + 8] = sums[tile][3];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < STEP * 8 * TILES; i += blockDim.x) {
    int o = i % STEP;
    int r = i / STEP;
    if (r >= item.count || base + o >= args.outputs) {
      continue;
    }
    float sum = 0;
    float other = 0;
#pragma unroll
    for (int from = 0; from < WARPS; from++) {
      sum += partial[from][r][o];
      other += GATED ? partial[from][r][o + 8] : 0;
    }
    int position = item.first + r;
    int pair = sorted == nullptr ? position : sorted[position];
    long row = GATED ? position : pair;
    float value = GATED ? weights[sorted == nullptr ? 0 : pair] * silu(sum) * other : sum;
    args.out[row * args.outputs + base + o] = __float2bfloat16_rn(value);
  }
}

template <int TILES, bool GATED>
__device__ __forceinline__ void expert_few(const ExpertArguments& args) {
  wait_for_previous();
  let_next_start();
  if (blockIdx.x < *args.item_count) {
    expert_skinny<TILES, GATED>(args, args.items[blockIdx.x], args.sorted, args.pair_weights);
  }
}

#define EXPERT_FEW(NAME, TILES, GATED)               \
  extern "C" __global__ void __launch_bounds__(256)  \
      NAME(const __grid_constant__ ExpertArguments args) { \
    expert_few<TILES, GATED>(args);                  \
  }
EXPERT_FEW(expert_gates_8, 1, true)
EXPERT_FEW(expert_gates_16, 2, true)
EXPERT_FEW(expert_gates_32, 4, true)
EXPERT_FEW(expert_down_8, 1, false)
EXPERT_FEW(expert_down_16, 2, false)
EXPERT_FEW(expert_down_32, 4, false)

// Very few rows: every pair is an item of its own, and every block finds the experts of its row
// itself, which takes less time than waiting for a kernel that does. A block is (pair, 8 gates).
template <int SLOTS>
__device__ __forceinline__ void expert_gates_alone(const ExpertArguments& args,
                                                   const RouteArguments& routes) {
  __shared__ Choice choice;
  wait_for_previous();
  let_next_start();
  int pair = blockIdx.x;
  if (threadIdx.x < 32) {
    Choice mine = choose_experts<SLOTS>(routes, pair / args.per_token);
    if (threadIdx.x == pair % args.per_token) {
      choice = mine;
    }
  }
  __syncthreads();
  if (choice.expert >= 0) {
    expert_skinny<1, true>(args, {choice.expert, pair, 1, 0}, nullptr, &choice.weight);
  }
}

extern "C" __global__ void __launch_bounds__(256, 6)
    expert_gates_alone_128(const __grid_constant__ ExpertArguments args,
                           const __grid_constant__ RouteArguments routes) {
  expert_gates_alone<4>(args, routes);
}

extern "C" __global__ void __launch_bounds__(256)
    expert_gates_alone_512(const __grid_constant__ ExpertArguments args,
                           const __grid_constant__ RouteArguments routes) {
  expert_gates_alone<16>(args, routes);
}

// out[row] = the sum over the row's experts of w x[pair]: a block is (row, 16 outputs), its warps
// share the experts and the sum over k. The logits were there before the kernel ahead began, so
// experts are found, and the first weights loaded, while that one ends.
template <int SLOTS>
__device__ __forceinline__ void expert_down_alone(const ExpertArguments& args,
                                                  const RouteArguments& routes, long out_stride) {
  constexpr int WARPS = 32;
  __shared__ float partial[WARPS][17];
  __shared__ int experts[32];
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  if (warp == 0) {
    experts[lane] = choose_experts<SLOTS>(routes, blockIdx.x).expert;
  }
  __syncthreads();
  int g = lane / 4;
  int t = lane % 4;
  int base = blockIdx.y * 16;
  int inputs = args.inputs;
  int chunks = (inputs + 63) / 64;
  int units = args.per_token * chunks;
  const bf16* upper = args.weights + (long)min(base + g, args.outputs - 1) * inputs + t * 8;
  const bf16* lower = args.weights + (long)min(base + g + 8, args.outputs - 1) * inputs + t * 8;
  const bf16* x = args.x + (long)blockIdx.x * args.per_token * args.x_stride + t * 8;
  auto load = [&](WeightTile& to, int unit) {
    int k = unit % chunks * 64;
    int expert = unit < units ? experts[unit / chunks] : -1;
    load_tile(to, upper, lower, expert * args.expert_stride + k,
              expert >= 0 && k + t * 8 < inputs, expert >= 0 && k + 32 + t * 8 < inputs);
  };
  float sums[4] = {};
  const uint4 none = make_uint4(0, 0, 0, 0);
  WeightTile next;
  load(next, warp);
  wait_for_previous();
  let_next_start();
  for (int unit = warp; unit < units; unit += WARPS) {
    WeightTile w = next;
    load(next, unit + WARPS);
    int k = unit % chunks * 64;
    const bf16* from = x + (unit / chunks) * args.x_stride + k;
    bool here = experts[unit / chunks] >= 0;
    uint4 b0 = here && k + t * 8 < inputs ? *reinterpret_cast<const uint4*>(from) : none;
    uint4 b1 = here && k + 32 + t * 8 < inputs ? *reinterpret_cast<const uint4*>(from + 32) : none;
    multiply_tile(sums, w, 0, b0);
    multiply_tile(sums, w, 1, b1);
  }
  // All eight columns are the same row.
  if (t == 0) {
    partial[warp][g] = sums[0];
    partial[warp][g + 8] = sums[2];
  }
  __syncthreads();
  int o = threadIdx.x;
  if (o < 16 && base + o < args.outputs) {
    float sum = 0;
#pragma unroll
    for (int from = 0; from < WARPS; from++) {
      sum += partial[from][o];
    }
    args.out[blockIdx.x * out_stride + base + o] = __float2bfloat16_rn(sum);
  }
}

extern "C" __global__ void __launch_bounds__(1024)
    expert_down_alone_128(const __grid_constant__ ExpertArguments args,
                          const __grid_constant__ RouteArguments routes, long out_stride) {
  expert_down_alone<4>(args, routes, out_stride);
}

extern "C" __global__ void __launch_bounds__(1024)
    expert_down_alone_512(const __grid_constant__ ExpertArguments args,
                          const __grid_constant__ RouteArguments routes, long out_stride) {
  expert_down_alone<16>(args, routes, out_stride);
}
