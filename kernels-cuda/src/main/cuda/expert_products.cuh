// The products of experts with the rows that chose them.
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
    bool second = k + 32 + t * 8 < inputs;
    bool first = k + t * 8 < inputs;
    uint4 a[2][2];
    a[0][0] = first ? load_streaming(upper + k) : none;
    a[0][1] = first ? load_streaming(lower + k) : none;
    a[1][0] = second ? load_streaming(upper + k + 32) : none;
    a[1][1] = second ? load_streaming(lower + k + 32) : none;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      bool inside = half == 0 ? first : second;
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        uint4 b = inside ? *reinterpret_cast<const uint4*>(activations[tile] + k + half * 32) : none;
        multiply_add(sums[tile], a[half][0].x, a[half][1].x, a[half][0].y, a[half][1].y, b.x, b.y);
        multiply_add(sums[tile], a[half][0].z, a[half][1].z, a[half][0].w, a[half][1].w, b.z, b.w);
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

// 16 x 64 elements of an expert's matrix, as a warp multiplies them.
struct DownWeights {
  uint4 a[4];
};

__device__ __forceinline__ void load_down(DownWeights& to, const bf16* upper, const bf16* lower,
                                          long offset, bool first, bool second) {
  const uint4 none = make_uint4(0, 0, 0, 0);
  to.a[0] = first ? load_streaming(upper + offset) : none;
  to.a[1] = first ? load_streaming(lower + offset) : none;
  to.a[2] = second ? load_streaming(upper + offset + 32) : none;
  to.a[3] = second ? load_streaming(lower + offset + 32) : none;
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
  auto load = [&](DownWeights& to, int unit) {
    int k = unit % chunks * 64;
    int expert = unit < units ? experts[unit / chunks] : -1;
    load_down(to, upper, lower, expert * args.expert_stride + k,
              expert >= 0 && k + t * 8 < inputs, expert >= 0 && k + 32 + t * 8 < inputs);
  };
  float sums[4] = {};
  const uint4 none = make_uint4(0, 0, 0, 0);
  DownWeights next;
  load(next, warp);
  wait_for_previous();
  let_next_start();
  for (int unit = warp; unit < units; unit += WARPS) {
    DownWeights w = next;
    load(next, unit + WARPS);
    int k = unit % chunks * 64;
    const bf16* from = x + (unit / chunks) * args.x_stride + k;
    bool here = experts[unit / chunks] >= 0;
    uint4 b0 = here && k + t * 8 < inputs ? *reinterpret_cast<const uint4*>(from) : none;
    uint4 b1 = here && k + 32 + t * 8 < inputs ? *reinterpret_cast<const uint4*>(from + 32) : none;
    multiply_add(sums, w.a[0].x, w.a[1].x, w.a[0].y, w.a[1].y, b0.x, b0.y);
    multiply_add(sums, w.a[0].z, w.a[1].z, w.a[0].w, w.a[1].w, b0.z, b0.w);
    multiply_add(sums, w.a[2].x, w.a[3].x, w.a[2].y, w.a[3].y, b1.x, b1.y);
    multiply_add(sums, w.a[2].z, w.a[3].z, w.a[2].w, w.a[3].w, b1.z, b1.w);
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

#if defined(HAS_WARPGROUPS)
// d[64 x TOKENS] (+)= a[64 x 16] b[TOKENS x 16]^T, both in shared memory with k contiguous.
template <int TOKENS>
__device__ __forceinline__ void multiply_tokens(float (&d)[TOKENS / 8][4], uint64_t a, uint64_t b,
                                                int add);

template <>
__device__ __forceinline__ void multiply_tokens<128>(float (&d)[16][4], uint64_t a, uint64_t b,
                                                     int add) {
  multiply_keys(d, a, b, add);
}

template <>
__device__ __forceinline__ void multiply_tokens<64>(float (&d)[8][4], uint64_t a, uint64_t b,
                                                    int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]),
        "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]), "+f"(d[1][3]),
        "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]),
        "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]),
        "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),
        "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]),
        "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]), "+f"(d[7][3])
      : "l"(a), "l"(b), "r"(add));
}

template <>
__device__ __forceinline__ void multiply_tokens<32>(float (&d)[4][4], uint64_t a, uint64_t b,
                                                    int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %18, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, %16, %17, p, 1, 1, 0, 0;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]),
        "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]), "+f"(d[1][3]),
        "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3])
      : "l"(a), "l"(b), "r"(add));
}

// Many rows an expert, on Hopper's warpgroups: a block computes 128 rows of an expert's matrix for
// an item, two warpgroups 64 rows each. Weights are the product's first operand and tokens its
// second, so that few tokens waste little. Chunks of 64 along k pass through STAGES stages; a row of
// a chunk is 128 bytes, swizzled.
template <int TOKENS, int STAGES, bool GATED>
__device__ __forceinline__ void expert_warpgroups(const ExpertArguments& args) {
  constexpr int WEIGHT_BYTES = 128 * 128;
  constexpr int STAGE_BYTES = WEIGHT_BYTES + TOKENS * 128;
  constexpr int STEP = GATED ? 64 : 128;  // Outputs of a block.
  constexpr int OUT_STRIDE = STEP + 8;    // Of the results in shared memory.
  extern __shared__ __align__(1024) unsigned char memory[];
  wait_for_previous();
  let_next_start();
  if (blockIdx.y >= *args.item_count) {
    return;
  }
  ExpertItem item = args.items[blockIdx.y];
  int base = blockIdx.x * STEP;
  int inputs = args.inputs;
  int chunk = threadIdx.x % 8;
  int line = threadIdx.x / 8;
  uint32_t shared = shared_address(memory);
  uint32_t place = line * 128 + ((chunk ^ (line & 7)) * 16);
  const bf16* weights[4];
  bool weight_valid[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int row = line + i * 32;
    // With gates, eight rows of gates and the eight of the up matrix that belong to them take turns.
    int output = base + (GATED ? row / 16 * 8 + row % 8 : row);
    weight_valid[i] = output < args.outputs;
    long at = weight_valid[i] ? output + (GATED && row % 16 >= 8 ? args.outputs : 0) : 0;
    weights[i] = args.weights + item.expert * args.expert_stride + at * inputs + chunk * 8;
  }
  const bf16* tokens[TOKENS / 32];
  bool token_valid[TOKENS / 32];
#pragma unroll
  for (int i = 0; i < TOKENS / 32; i++) {
    int token = line + i * 32;
    token_valid[i] = token < item.count;
    int position = item.first + (token_valid[i] ? token : 0);
    long row = GATED ? args.sorted[position] / args.per_token : position;
    tokens[i] = args.x + row * args.x_stride + chunk * 8;
  }
  int rounds = (inputs + 63) / 64;
  auto load = [&](int round) {
    if (round < rounds) {
      uint32_t to = shared + round % STAGES * STAGE_BYTES + place;
      int k = round * 64;
      bool inside = k + chunk * 8 < inputs;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        bool valid = inside && weight_valid[i];
        copy_async(to + i * 32 * 128, weights[i] + (inside ? k : 0), valid);
      }
#pragma unroll
      for (int i = 0; i < TOKENS / 32; i++) {
        bool valid = inside && token_valid[i];
        copy_async(to + WEIGHT_BYTES + i * 32 * 128, tokens[i] + (inside ? k : 0), valid);
      }
    }
    commit_copies();
  };
  float sums[TOKENS / 8][4];
#pragma unroll
  for (int i = 0; i < TOKENS / 8; i++) {
    sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
  }
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) {
    load(i);
  }
  int group = threadIdx.x / 128;
  for (int round = 0; round < rounds; round++) {
    await_copies<STAGES - 2>();
    publish_to_tensor_cores();
    // All have read the stage that is filled next.
    __syncthreads();
    load(round + STAGES - 1);
    uint32_t a = shared + round % STAGES * STAGE_BYTES + group * 64 * 128;
    uint32_t b = shared + round % STAGES * STAGE_BYTES + WEIGHT_BYTES;
    fence_warpgroup();
#pragma unroll
    for (int i = 0; i < 4; i++) {
      multiply_tokens<TOKENS>(sums, operand(a + i * 32, 16, 1024), operand(b + i * 32, 16, 1024), 1);
    }
    commit_warpgroup();
    await_warpgroup<0>();
  }
  await_copies<0>();
  __syncthreads();
  // Through shared memory, so that whole lines are written.
  bf16* results = reinterpret_cast<bf16*>(memory);
  int lane = threadIdx.x % 32;
  int output = threadIdx.x / 32 * (GATED ? 8 : 16) + lane / 4;
#pragma unroll
  for (int i = 0; i < TOKENS / 8; i++) {
#pragma unroll
    for (int j = 0; j < 2; j++) {
      int token = i * 8 + lane % 4 * 2 + j;
      bf16* to = results + token * OUT_STRIDE + output;
      if (GATED) {
        if (token < item.count) {
          float weight = args.pair_weights[args.sorted[item.first + token]];
          to[0] = __float2bfloat16_rn(weight * silu(sums[i][j]) * sums[i][j + 2]);
        }
      } else {
        to[0] = __float2bfloat16_rn(sums[i][j]);
        to[8] = __float2bfloat16_rn(sums[i][j + 2]);
      }
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < TOKENS * (STEP / 8); i += blockDim.x) {
    int token = i / (STEP / 8);
    int column = i % (STEP / 8) * 8;
    if (token < item.count && base + column < args.outputs) {
      long row = GATED ? item.first + token : args.sorted[item.first + token];
      *reinterpret_cast<uint4*>(args.out + row * args.outputs + base + column) =
          *reinterpret_cast<uint4*>(results + token * OUT_STRIDE + column);
    }
  }
}
#endif

// Only compute capability 9.0 has these; the host asks for them there alone.
#if defined(HAS_WARPGROUPS)
#define EXPERT_WARPGROUPS(NAME, TOKENS, STAGES, GATED)                     \
  extern "C" __global__ void __launch_bounds__(256, 2)                     \
      NAME(const __grid_constant__ ExpertArguments args) {                 \
    expert_warpgroups<TOKENS, STAGES, GATED>(args);                        \
  }
#else
#define EXPERT_WARPGROUPS(NAME, TOKENS, STAGES, GATED) \
  extern "C" __global__ void __launch_bounds__(256, 2) \
      NAME(const __grid_constant__ ExpertArguments args) {}
#endif
EXPERT_WARPGROUPS(expert_gates_hopper_32, 32, 5, true)
EXPERT_WARPGROUPS(expert_gates_hopper_64, 64, 4, true)
EXPERT_WARPGROUPS(expert_gates_hopper_128, 128, 3, true)
EXPERT_WARPGROUPS(expert_down_hopper_32, 32, 5, false)
EXPERT_WARPGROUPS(expert_down_hopper_64, 64, 4, false)
EXPERT_WARPGROUPS(expert_down_hopper_128, 128, 3, false)
