// Attention of sequences that compute several tokens: bound by the tensor cores.
#pragma once

// A block is (tile of 64 rows of one sequence, query head); a warp has 16 of the rows. Keys and
// values come in tiles of 64 tokens, two of them in shared memory at a time (FlashAttention-2,
// arXiv 2307.08691). Tiles are found by walking first_rows, the ones with most keys first.
struct PrefillArguments {
  const bf16* queries;
  long query_stride;
  const bf16* keys;
  const bf16* values;
  const int* positions;
  const int* first_rows;
  const int* block_tables;
  int table_stride;
  int sequences;
  int heads;
  int kv_heads;
  int block_size;
  float scale;
  bf16* out;
  long out_stride;
  Spread spread;
};

// Rows of a sequence that this kernel computes, in tiles: those of one row are decoded.
template <int TILE>
__device__ __forceinline__ int tiles_of(const int* first_rows, int sequence, int sequences) {
  if (sequence >= sequences) {
    return 0;
  }
  int rows = first_rows[sequence + 1] - first_rows[sequence];
  return rows > 1 ? (rows + TILE - 1) / TILE : 0;
}

// Finds the sequence and the tile of it that block `index` computes; sequence -1 for none.
template <int TILE>
__device__ __forceinline__ int2 find_tile(const int* first_rows, int sequences, int index) {
  int lane = threadIdx.x % 32;
  int total = 0;
  for (int base = 0; base < sequences; base += 32) {
    total += tiles_of<TILE>(first_rows, base + lane, sequences);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    total += __shfl_xor_sync(0xffffffff, total, offset);
  }
  int wanted = total - 1 - index;
  if (wanted < 0) {
    return make_int2(-1, 0);
  }
  for (int base = 0; base < sequences; base += 32) {
    int mine = tiles_of<TILE>(first_rows, base + lane, sequences);
    int through = mine;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      int before = __shfl_up_sync(0xffffffff, through, offset);
      through += lane >= offset ? before : 0;
    }
    unsigned reaching = __ballot_sync(0xffffffff, through > wanted);
    if (reaching != 0) {
      int found = __ffs(reaching) - 1;
      int before = __shfl_sync(0xffffffff, through - mine, found);
      return make_int2(base + found, wanted - before);
    }
    wanted -= __shfl_sync(0xffffffff, through, 31);
  }
  return make_int2(-1, 0);
}

constexpr int PREFILL_TILE = 64;

template <int D>
__device__ __forceinline__ void copy_tile(uint32_t keys, const PrefillArguments& args,
                                          const int* table, int kv_head, int token, int end) {
  constexpr int CHUNKS = D / 8;
  constexpr int TILE_BYTES = PREFILL_TILE * D * 2;
  int shift = 31 - __clz(args.block_size);
#pragma unroll
  for (int i = 0; i < PREFILL_TILE * CHUNKS / 128; i++) {
    int row = (i * 128 + threadIdx.x) / CHUNKS;
    int chunk = threadIdx.x % CHUNKS;
    int at = token + row;
    bool valid = at < end;
    long block = valid ? table[at >> shift] : 0;
    long slot = (block * args.kv_heads + kv_head) * args.block_size + (at & (args.block_size - 1));
    long element = valid ? slot * D + chunk * 8 : 0;
    uint32_t offset = swizzled<CHUNKS>(row, chunk);
    copy_async(keys + offset, args.keys + element, valid);
    copy_async(keys + TILE_BYTES + offset, args.values + element, valid);
  }
  commit_copies();
}

template <int D, bool SPREAD>
__device__ __forceinline__ void prefill_attention(const PrefillArguments& args) {
  extern __shared__ __align__(1024) unsigned char memory[];
  constexpr int CHUNKS = D / 8;
  constexpr int TILE_BYTES = PREFILL_TILE * D * 2;
  wait_for_previous();
  let_next_start();
  int2 found = find_tile<PREFILL_TILE>(args.first_rows, args.sequences, blockIdx.y);
  if (found.x < 0) {
    return;
  }
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int head = blockIdx.x;
  int kv_head = head / (args.heads / args.kv_heads);
  int first = args.first_rows[found.x] + found.y * PREFILL_TILE;
  int rows = min(PREFILL_TILE, args.first_rows[found.x + 1] - first);
  int position = args.positions[first];
  // Tokens that a row of the tile sees.
  auto seen = [&](int row) {
    return SPREAD ? args.spread.held(position + row) : position + row + 1;
  };
  int end = seen(rows - 1);
  const int* table = args.block_tables + (long)found.x * args.table_stride;
  uint32_t query_tile = shared_address(memory);
  uint32_t ring = query_tile + TILE_BYTES;
#pragma unroll
  for (int i = 0; i < PREFILL_TILE * CHUNKS / 128; i++) {
    int row = (i * 128 + threadIdx.x) / CHUNKS;
    int chunk = threadIdx.x % CHUNKS;
    bool valid = row < rows;
    long query_row = first + (valid ? row : 0);
    int query_head = head;
    if (SPREAD) {
      query_row = args.spread.row_of(query_row, head);
      query_head = head % args.spread.heads;
    }
    const bf16* from =
        args.queries + query_row * args.query_stride + (long)query_head * D + chunk * 8;
    copy_async(query_tile + swizzled<CHUNKS>(row, chunk), from, valid);
  }
  copy_tile<D>(ring, args, table, kv_head, 0, end);
  await_copies<0>();
  __syncthreads();
  uint32_t queries[D / 16][4];
  int query_row = warp * 16 + lane % 16;
#pragma unroll
  for (int i = 0; i < D / 16; i++) {
    load_matrices(queries[i], query_tile + swizzled<CHUNKS>(query_row, 2 * i + lane / 16));
  }
  float scale = args.scale * LOG2_E;
  RunningSoftmax<D> state;
  state.clear();
  int first_seen = seen(warp * 16);
  int seen_by[2] = {seen(warp * 16 + lane / 4), seen(warp * 16 + lane / 4 + 8)};
  for (int token = 0, stage = 0; token < end; token += PREFILL_TILE, stage ^= 1) {
    uint32_t keys = ring + stage * 2 * TILE_BYTES;
    if (token + PREFILL_TILE < end) {
      copy_tile<D>(ring + (stage ^ 1) * 2 * TILE_BYTES, args, table, kv_head, token + PREFILL_TILE,
                   end);
    }
    float scores[8][4] = {};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      score_keys<D>(scores[2 * i], scores[2 * i + 1], queries, keys, i * 16, lane);
    }
    bool masked = token + PREFILL_TILE > first_seen;
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int at = token + i * 8 + lane % 4 * 2 + j % 2;
        bool hidden = masked && at >= seen_by[j / 2];
        scores[i][j] = hidden ? -INFINITY : scores[i][j] * scale;
      }
    }
    take_scores<D, 8>(state, scores);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      add_values<D>(state, scores[2 * i], scores[2 * i + 1], keys + TILE_BYTES, i * 16, lane);
    }
    await_copies<0>();
    __syncthreads();
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float total = state.weight[half];
    total += __shfl_xor_sync(0xffffffff, total, 1);
    total += __shfl_xor_sync(0xffffffff, total, 2);
    int row = warp * 16 + lane / 4 + half * 8;
    if (row >= rows) {
      continue;
    }
    if (SPREAD) {
      float* to = args.spread.sums<D>(first + row, head) + lane % 4 * 2;
#pragma unroll
      for (int i = 0; i < D / 8; i++) {
        *reinterpret_cast<float2*>(to + i * 8) =
            make_float2(state.sums[i][2 * half], state.sums[i][2 * half + 1]);
      }
      if (lane % 4 == 0) {
        args.spread.put_weight<D>(first + row, head, state.largest[half], total);
      }
    } else {
      bf16* to = args.out + (first + row) * args.out_stride + (long)head * D + lane % 4 * 2;
#pragma unroll
      for (int i = 0; i < D / 8; i++) {
        *reinterpret_cast<uint32_t*>(to + i * 8) =
            pack(state.sums[i][2 * half] / total, state.sums[i][2 * half + 1] / total);
      }
    }
  }
}

#define PREFILL(NAME, D, SPREAD)                                                          \
  extern "C" __global__ void __launch_bounds__(128)                                       \
      NAME(const __grid_constant__ PrefillArguments args) {                               \
    prefill_attention<D, SPREAD>(args);                                                   \
  }
PREFILL(prefill_attention_64, 64, false)
PREFILL(prefill_attention_128, 128, false)
PREFILL(prefill_spread_64, 64, true)
PREFILL(prefill_spread_128, 128, true)
