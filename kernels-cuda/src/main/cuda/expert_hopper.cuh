// The products of experts with many rows each, on Hopper's warpgroup tensor cores.
#pragma once

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

// From shared memory, rows of STEP + 8 elements, to where each token's results belong.
template <int TOKENS, int STEP, bool GATED>
__device__ __forceinline__ void write_results(const ExpertArguments& args, ExpertItem item,
                                              int base, const bf16* results) {
  for (int i = threadIdx.x; i < TOKENS * (STEP / 8); i += blockDim.x) {
    int token = i / (STEP / 8);
    int column = i % (STEP / 8) * 8;
    if (token < item.count && base + column < args.outputs) {
      long row = GATED ? item.first + token : args.sorted[item.first + token];
      *reinterpret_cast<uint4*>(args.out + row * args.outputs + base + column) =
          *reinterpret_cast<const uint4*>(results + token * (STEP + 8) + column);
    }
  }
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
  write_results<TOKENS, STEP, GATED>(args, item, base, results);
}
#endif

// Only compute capability 9.0 has these; the host asks for them there alone.
#if defined(HAS_WARPGROUPS)
#define EXPERT_WARPGROUPS(NAME, BLOCKS, BODY)                    \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)      \
      NAME(const __grid_constant__ ExpertArguments args) {       \
    (BODY)(args);                                                \
  }
#else
#define EXPERT_WARPGROUPS(NAME, BLOCKS, BODY)               \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS) \
      NAME(const __grid_constant__ ExpertArguments args) {}
#endif
EXPERT_WARPGROUPS(expert_gates_hopper_32, 2, (expert_warpgroups<32, 5, true>))
EXPERT_WARPGROUPS(expert_gates_hopper_64, 2, (expert_warpgroups<64, 4, true>))
EXPERT_WARPGROUPS(expert_gates_hopper_128, 2, (expert_warpgroups<128, 3, true>))
EXPERT_WARPGROUPS(expert_down_hopper_32, 2, (expert_warpgroups<32, 5, false>))
EXPERT_WARPGROUPS(expert_down_hopper_64, 2, (expert_warpgroups<64, 4, false>))
EXPERT_WARPGROUPS(expert_down_hopper_128, 2, (expert_warpgroups<128, 3, false>))
