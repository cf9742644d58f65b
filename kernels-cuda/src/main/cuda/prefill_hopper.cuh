// Attention of several rows on Hopper's warpgroup tensor cores, head dimension 128.
#pragma once

// A block is (tile of 128 rows of one sequence, query head), with two warpgroups of 64 rows each.
// Keys and values come in tiles of 128 tokens. While the tensor cores multiply one tile's weights
// with its values and the next tile's keys with the queries, the scores that are already there
// become weights (FlashAttention-3, arXiv 2407.08608).
//
// In shared memory a tile is two halves of 64 elements of each row, a row of a half 128 bytes, its
// eight 16-byte chunks exchanged by the row's lowest three bits: the 128-byte swizzle.
constexpr int HOPPER_ROWS = 128;
constexpr int HOPPER_TOKENS = 128;
constexpr int HOPPER_DIM = 128;
constexpr int HALF_BYTES = HOPPER_TOKENS * 128;
constexpr int HOPPER_TILE_BYTES = 2 * HALF_BYTES;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HAS_WARPGROUPS 1

__device__ __forceinline__ void fence_warpgroup() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void commit_warpgroup() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int PENDING>
__device__ __forceinline__ void await_warpgroup() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// The second warpgroup issues its scores after the first, so that one weighs while the tensor cores
// are the other's.
__device__ __forceinline__ void let_first_group_lead(int group) {
  if (group == 1) {
    asm volatile("bar.sync 1, 256;" ::: "memory");
  }
}

__device__ __forceinline__ void let_second_group_follow(int group) {
  if (group == 0) {
    asm volatile("bar.arrive 1, 256;" ::: "memory");
  }
}

// Makes plain writes to shared memory visible to the tensor cores; a barrier follows.
__device__ __forceinline__ void publish_to_tensor_cores() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Where an operand lies: address, and the distances between repeats of its 8 x 128 byte patterns,
// in units of 16 bytes; 1 << 62 is the 128-byte swizzle.
__device__ __forceinline__ uint64_t operand(uint32_t address, uint32_t leading, uint32_t stride) {
  return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)(leading >> 4) << 16 |
         (uint64_t)(stride >> 4) << 32 | 1ull << 62;
}

// d[64 x 128] (+)= a[64 x 16] b[128 x 16]^T, both in shared memory with k contiguous.
__device__ __forceinline__ void multiply_keys(float (&d)[16][4], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, p, 1, 1, 0, 0;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]),
        "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]), "+f"(d[1][3]),
        "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]),
        "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]),
        "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),
        "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]),
        "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]), "+f"(d[7][3]),
        "+f"(d[8][0]), "+f"(d[8][1]), "+f"(d[8][2]), "+f"(d[8][3]),
        "+f"(d[9][0]), "+f"(d[9][1]), "+f"(d[9][2]), "+f"(d[9][3]),
        "+f"(d[10][0]), "+f"(d[10][1]), "+f"(d[10][2]), "+f"(d[10][3]),
        "+f"(d[11][0]), "+f"(d[11][1]), "+f"(d[11][2]), "+f"(d[11][3]),
        "+f"(d[12][0]), "+f"(d[12][1]), "+f"(d[12][2]), "+f"(d[12][3]),
        "+f"(d[13][0]), "+f"(d[13][1]), "+f"(d[13][2]), "+f"(d[13][3]),
        "+f"(d[14][0]), "+f"(d[14][1]), "+f"(d[14][2]), "+f"(d[14][3]),
        "+f"(d[15][0]), "+f"(d[15][1]), "+f"(d[15][2]), "+f"(d[15][3])
      : "l"(a), "l"(b), "r"(add));
}

// d[64 x 128] += a[64 x 16] b[16 x 128], a in registers, b in shared memory with n contiguous.
__device__ __forceinline__ void multiply_values(float (&d)[16][4], const uint32_t (&a)[4],
                                                uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, {%64, %65, %66, %67}, %68, 1, "
      "1, 1, 1;"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]),
        "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]), "+f"(d[1][3]),
        "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]),
        "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]),
        "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),
        "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]),
        "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]), "+f"(d[7][3]),
        "+f"(d[8][0]), "+f"(d[8][1]), "+f"(d[8][2]), "+f"(d[8][3]),
        "+f"(d[9][0]), "+f"(d[9][1]), "+f"(d[9][2]), "+f"(d[9][3]),
        "+f"(d[10][0]), "+f"(d[10][1]), "+f"(d[10][2]), "+f"(d[10][3]),
        "+f"(d[11][0]), "+f"(d[11][1]), "+f"(d[11][2]), "+f"(d[11][3]),
        "+f"(d[12][0]), "+f"(d[12][1]), "+f"(d[12][2]), "+f"(d[12][3]),
        "+f"(d[13][0]), "+f"(d[13][1]), "+f"(d[13][2]), "+f"(d[13][3]),
        "+f"(d[14][0]), "+f"(d[14][1]), "+f"(d[14][2]), "+f"(d[14][3]),
        "+f"(d[15][0]), "+f"(d[15][1]), "+f"(d[15][2]), "+f"(d[15][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Byte of chunk `chunk` (of 16) of row `row` of a tile.
__device__ __forceinline__ uint32_t in_tile(int row, int chunk) {
  return (chunk / 8) * HALF_BYTES + row * 128 + ((chunk % 8) ^ (row & 7)) * 16;
}

// A thread copies one row of each page of 16 tokens, so all arithmetic but the last sum is the same
// for all threads.
__device__ __forceinline__ void copy_hopper_tile(uint32_t to, const bf16* from,
                                                 const PrefillArguments& args, const int* table,
                                                 int kv_head, int token, int end) {
  int chunk = threadIdx.x % 16;
  int row = threadIdx.x / 16;
  int shift = 31 - __clz(args.block_size);
  const bf16* mine = from + (long)kv_head * args.block_size * HOPPER_DIM + row * HOPPER_DIM + chunk * 8;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    int page = token + i * 16;
    bool valid = page + row < end;
    int block = page < end ? table[page >> shift] : 0;
    long offset = ((long)block * args.kv_heads * args.block_size + (page & (args.block_size - 1))) *
                  HOPPER_DIM;
    copy_async(to + in_tile(i * 16 + row, chunk), mine + (valid ? offset : 0), valid);
  }
}

// scores = queries keys^T, issued, not awaited.
__device__ __forceinline__ void score_tile(float (&scores)[16][4], uint32_t queries, uint32_t keys) {
#pragma unroll
  for (int i = 0; i < HOPPER_DIM / 16; i++) {
    uint32_t offset = (i / 4) * HALF_BYTES + (i % 4) * 32;
    multiply_keys(scores, operand(queries + offset, 16, 1024), operand(keys + offset, 16, 1024),
                  i > 0);
  }
}

// sums += weights values, issued, not awaited.
__device__ __forceinline__ void add_tile(float (&sums)[16][4], const uint32_t (&weights)[8][4],
                                         uint32_t values) {
#pragma unroll
  for (int i = 0; i < HOPPER_TOKENS / 16; i++) {
    multiply_values(sums, weights[i], operand(values + i * 2048, HALF_BYTES, 1024));
  }
}

__device__ __forceinline__ void pack_weights(uint32_t (&weights)[8][4],
                                             const float (&scores)[16][4]) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    weights[i][0] = pack(scores[2 * i][0], scores[2 * i][1]);
    weights[i][1] = pack(scores[2 * i][2], scores[2 * i][3]);
    weights[i][2] = pack(scores[2 * i + 1][0], scores[2 * i + 1][1]);
    weights[i][3] = pack(scores[2 * i + 1][2], scores[2 * i + 1][3]);
  }
}

__device__ __forceinline__ void mask_scores(float (&scores)[16][4], int token, int upper) {
#pragma unroll
  for (int i = 0; i < 16; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int at = token + i * 8 + threadIdx.x % 4 * 2 + j % 2;
      scores[i][j] = at > upper + j / 2 * 8 ? -INFINITY : scores[i][j];
    }
  }
}

// Turns scores into weights against a running maximum; gives what older sums shrink by.
__device__ __forceinline__ void weigh(float (&scores)[16][4], float scale, float (&largest)[2],
                                      float (&weight)[2], float (&shrink)[2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float top = largest[half];
#pragma unroll
    for (int i = 0; i < 16; i++) {
      top = fmaxf(top, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
    }
    top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 1));
    top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 2));
    float base = top == -INFINITY ? 0 : top * scale;
    shrink[half] = fast_exp2(fmaf(largest[half], scale, -base));
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 16; i++) {
      scores[i][2 * half] = fast_exp2(fmaf(scores[i][2 * half], scale, -base));
      scores[i][2 * half + 1] = fast_exp2(fmaf(scores[i][2 * half + 1], scale, -base));
      sum += scores[i][2 * half] + scores[i][2 * half + 1];
    }
    weight[half] = weight[half] * shrink[half] + sum;
    largest[half] = top;
  }
}

__device__ __forceinline__ void prefill_hopper(const PrefillArguments& args) {
  extern __shared__ __align__(1024) unsigned char memory[];
  wait_for_previous();
  let_next_start();
  int2 found = find_tile<HOPPER_ROWS>(args.first_rows, args.sequences, blockIdx.y);
  if (found.x < 0) {
    return;
  }
  int group = threadIdx.x / 128;
  int warp = threadIdx.x / 32 % 4;
  int lane = threadIdx.x % 32;
  int head = blockIdx.x;
  int kv_head = head / (args.heads / args.kv_heads);
  int first = args.first_rows[found.x] + found.y * HOPPER_ROWS;
  int rows = min(HOPPER_ROWS, args.first_rows[found.x + 1] - first);
  int position = args.positions[first];
  int end = position + rows;
  const int* table = args.block_tables + (long)found.x * args.table_stride;
  uint32_t query_tile = shared_address(memory);
  uint32_t keys = query_tile + HOPPER_TILE_BYTES;
  uint32_t values = keys + 2 * HOPPER_TILE_BYTES;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    int row = i * 16 + threadIdx.x / 16;
    int chunk = threadIdx.x % 16;
    bool valid = row < rows;
    const bf16* from = args.queries + (first + (valid ? row : 0)) * args.query_stride +
                       (long)head * HOPPER_DIM + chunk * 8;
    copy_async(query_tile + in_tile(row, chunk), from, valid);
  }
  copy_hopper_tile(keys, args.keys, args, table, kv_head, 0, end);
  copy_hopper_tile(values, args.values, args, table, kv_head, 0, end);
  copy_hopper_tile(keys + HOPPER_TILE_BYTES, args.keys, args, table, kv_head, HOPPER_TOKENS, end);
  commit_copies();
  await_copies<0>();
  publish_to_tensor_cores();
  __syncthreads();
  uint32_t queries = query_tile + group * 64 * 128;
  float scale = args.scale * LOG2_E;
  int lowest = position + group * 64;
  int upper = lowest + warp * 16 + lane / 4;
  float sums[16][4];
  float scores[16][4];
  uint32_t weights[8][4];
  float largest[2] = {-INFINITY, -INFINITY};
  float weight[2] = {0, 0};
  float shrink[2];
#pragma unroll
  for (int i = 0; i < 16; i++) {
    sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
  }
  fence_warpgroup();
  score_tile(scores, queries, keys);
  commit_warpgroup();
  await_warpgroup<0>();
  if (HOPPER_TOKENS > lowest) {
    mask_scores(scores, 0, upper);
  }
  weigh(scores, scale, largest, weight, shrink);
  int tiles = (end + HOPPER_TOKENS - 1) / HOPPER_TOKENS;
  for (int tile = 0; tile < tiles - 1; tile++) {
    pack_weights(weights, scores);
    int stage = tile % 2;
    // The tiles that this round reads are there; those that it replaces were read before.
    await_copies<0>();
    publish_to_tensor_cores();
    __syncthreads();
    copy_hopper_tile(values + (stage ^ 1) * HOPPER_TILE_BYTES, args.values, args, table, kv_head,
                     (tile + 1) * HOPPER_TOKENS, end);
    copy_hopper_tile(keys + stage * HOPPER_TILE_BYTES, args.keys, args, table, kv_head,
                     (tile + 2) * HOPPER_TOKENS, end);
    commit_copies();
    let_first_group_lead(group);
    fence_warpgroup();
    score_tile(scores, queries, keys + (stage ^ 1) * HOPPER_TILE_BYTES);
    commit_warpgroup();
    let_second_group_follow(group);
    add_tile(sums, weights, values + stage * HOPPER_TILE_BYTES);
    commit_warpgroup();
    await_warpgroup<1>();
    int token = (tile + 1) * HOPPER_TOKENS;
    if (token + HOPPER_TOKENS > lowest) {
      mask_scores(scores, token, upper);
    }
    weigh(scores, scale, largest, weight, shrink);
    await_warpgroup<0>();
    // Maxima seldom grow after the first tiles.
    if (__any_sync(0xffffffff, shrink[0] != 1 || shrink[1] != 1)) {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        sums[i][0] *= shrink[0];
        sums[i][1] *= shrink[0];
        sums[i][2] *= shrink[1];
        sums[i][3] *= shrink[1];
      }
    }
  }
  pack_weights(weights, scores);
  await_copies<0>();
  publish_to_tensor_cores();
  __syncthreads();
  fence_warpgroup();
  add_tile(sums, weights, values + (tiles - 1) % 2 * HOPPER_TILE_BYTES);
  commit_warpgroup();
  await_warpgroup<0>();
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float total = weight[half];
    total += __shfl_xor_sync(0xffffffff, total, 1);
    total += __shfl_xor_sync(0xffffffff, total, 2);
    int row = group * 64 + warp * 16 + lane / 4 + half * 8;
    if (row < rows) {
      bf16* to = args.out + (first + row) * args.out_stride + (long)head * HOPPER_DIM + lane % 4 * 2;
#pragma unroll
      for (int i = 0; i < 16; i++) {
        *reinterpret_cast<uint32_t*>(to + i * 8) =
            pack(sums[i][2 * half] / total, sums[i][2 * half + 1] / total);
      }
    }
  }
}
#endif

// Only compute capability 9.0 has this kernel; the host asks for it there alone.
extern "C" __global__ void __launch_bounds__(256, 1)
    prefill_attention_hopper_128(const __grid_constant__ PrefillArguments args) {
#if defined(HAS_WARPGROUPS)
  prefill_hopper(args);
#endif
}
