// Attention of sequences that compute one token: bound by the bandwidth of the KV cache.
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

// Query heads that share a kv head are the rows of one tensor core tile, so keys and values are
// read once for all of them. A block is (split of the context, kv head, sequence). Each of its four
// warps walks pages of 16 tokens on its own, with its own ring of copies in flight and its own
// running softmax; the warps are merged in shared memory, the splits by whichever block ends last.
// How long the splits are follows from positions in device memory, so one recorded launch serves
// every length.
struct DecodeArguments {
  const bf16* queries;
  long query_stride;
  const bf16* keys;
  const bf16* values;
  const int* positions;
  const int* first_rows;
  const int* block_tables;
  int table_stride;
  int heads;
  int kv_heads;
  int block_size;
  float scale;
  bf16* out;
  long out_stride;
  float* partial;  // [sequence][head][split][D + 2]: sums, then the largest score and the weight
  int* arrived;    // [sequence][blockIdx.y], zero between launches
  int least_pages; // of a split
  int before;      // the kernel before: see below
  Spread spread;
};

// Kernels before this one. That of the prompts' attention let this one start when what it waited for was
// there, and they share nothing. The one that rotates did so too, and leaves the newest token and the
// queries: the tokens before are there already.
constexpr int AFTER_PROMPTS = 1;
constexpr int AFTER_ROTATION = 2;

constexpr int DECODE_WARPS = 4;
constexpr int DECODE_STAGES = 3;
constexpr int PAGE = 16;
constexpr int MOST_SPLITS = 64;

template <int D>
__device__ __forceinline__ void copy_page(uint32_t to, const bf16* keys, const bf16* values,
                                          long slot, int valid_tokens, int lane) {
  constexpr int CHUNKS = D / 8;
#pragma unroll
  for (int i = 0; i < PAGE * CHUNKS / 32; i++) {
    int row = (i * 32 + lane) / CHUNKS;
    int chunk = (i * 32 + lane) % CHUNKS;
    bool valid = row < valid_tokens;
    long at = (slot + row) * D + chunk * 8;
    uint32_t offset = swizzled<CHUNKS>(row, chunk);
    copy_async(to + offset, valid ? keys + at : keys, valid);
    copy_async(to + PAGE * D * 2 + offset, valid ? values + at : values, valid);
  }
}

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

// The pages that a warp walks: `begin`, and every DECODE_WARPS after it before `end`.
template <int D>
struct PageWalk {
  static constexpr int STAGE_BYTES = 2 * PAGE * D * 2;

  const DecodeArguments& args;
  const int* table;
  int kv_head;
  int context;
  int begin;
  int end;
  uint32_t ring;
  int lane;

  __device__ __forceinline__ int block_of(int page) const {
    return page < end ? table[page / (args.block_size / PAGE)] : 0;
  }

  __device__ __forceinline__ void issue(int page, int block, int stage) const {
    if (page < end) {
      long slot = ((long)block * args.kv_heads + kv_head) * args.block_size +
                  page % (args.block_size / PAGE) * PAGE;
      copy_page<D>(ring + stage * STAGE_BYTES, args.keys, args.values, slot, context - page * PAGE,
                   lane);
    }
    commit_copies();
  }

  __device__ __forceinline__ void issue_first() const {
#pragma unroll
    for (int i = 0; i < DECODE_STAGES - 1; i++) {
      issue(begin + i * DECODE_WARPS, block_of(begin + i * DECODE_WARPS), i);
    }
  }

  // Whether the first pages to be issued may hold the newest token.
  __device__ __forceinline__ bool begins_with_newest() const {
    int last = min(begin + (DECODE_STAGES - 2) * DECODE_WARPS, end - 1);
    return last >= (context - 1) / PAGE;
  }
};

// Takes in the pages of a walk that has begun.
template <int D>
__device__ __forceinline__ void walk_pages(RunningSoftmax<D>& state,
                                           const uint32_t (&queries)[D / 16][4],
                                           const PageWalk<D>& walk) {
  const DecodeArguments& args = walk.args;
  int context = walk.context;
  int lane = walk.lane;
  int ahead = walk.begin + (DECODE_STAGES - 1) * DECODE_WARPS;
  int next_block = walk.block_of(ahead);
  int stage = 0;
  for (int page = walk.begin; page < walk.end; page += DECODE_WARPS) {
    walk.issue(ahead, next_block, (stage + DECODE_STAGES - 1) % DECODE_STAGES);
    ahead += DECODE_WARPS;
    next_block = walk.block_of(ahead);
    await_copies<DECODE_STAGES - 1>();
    __syncwarp();
    uint32_t keys = walk.ring + stage * PageWalk<D>::STAGE_BYTES;
    float scores[2][4] = {};
    score_keys<D>(scores[0], scores[1], queries, keys, 0, lane);
    int token = page * PAGE + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int at = token + i % 2;
      scores[0][i] = at < context ? scores[0][i] * args.scale : -INFINITY;
      scores[1][i] = at + 8 < context ? scores[1][i] * args.scale : -INFINITY;
    }
    take_scores<D, 2>(state, scores);
    add_values<D>(state, scores[0], scores[1], keys + PAGE * D * 2, 0, lane);
    __syncwarp();
    stage = (stage + 1) % DECODE_STAGES;
  }
  await_copies<0>();
}

// The weight of one part among parts: 2^(largest - overall), zero for a part that saw no key.
__device__ __forceinline__ float share_of(float largest, float overall) {
  return largest == -INFINITY ? 0 : fast_exp2(largest - overall);
}

// A head's attention to some tokens as a warp holds it: lane l has elements 2l and 2l + 1 of each 64.
template <int D>
struct HeadSums {
  float2 sums[D / 64];
  float largest;
  float weight;
};

// Puts parts of a context together, `count` of them, at most MOST_SPLITS: D sums, the largest score and
// the weight each, `apart` floats from one to the next.
template <int D, bool SHARED>
__device__ __forceinline__ HeadSums<D> merge_parts(const float* parts, long apart, int count) {
  constexpr int AT_ONCE = 8;
  int lane = threadIdx.x % 32;
  auto load = [](const float* from) {
    const float2* two = reinterpret_cast<const float2*>(from);
    return SHARED ? *two : __ldcg(two);
  };
  float2 tops[MOST_SPLITS / 32];
  float overall = -INFINITY;
#pragma unroll
  for (int i = 0; i < MOST_SPLITS / 32; i++) {
    int part = i * 32 + lane;
    tops[i] = part < count ? load(parts + part * apart + D) : make_float2(-INFINITY, 0);
    overall = fmaxf(overall, tops[i].x);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    overall = fmaxf(overall, __shfl_xor_sync(0xffffffff, overall, offset));
  }
  HeadSums<D> merged = {};
  float shares[MOST_SPLITS / 32];
#pragma unroll
  for (int i = 0; i < MOST_SPLITS / 32; i++) {
    shares[i] = share_of(tops[i].x, overall);
    merged.weight += shares[i] * tops[i].y;
  }
  merged.weight = sum_over_warp(merged.weight);
  merged.largest = overall;
  for (int first = 0; first < count; first += AT_ONCE) {
    float2 some[AT_ONCE][D / 64];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
#pragma unroll
      for (int half = 0; half < D / 64; half++) {
        bool there = first + i < count;
        some[i][half] = there ? load(parts + (first + i) * apart + half * 64 + 2 * lane)
                              : make_float2(0, 0);
      }
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      float share = __shfl_sync(0xffffffff, first < 32 ? shares[0] : shares[1], (first + i) % 32);
#pragma unroll
      for (int half = 0; half < D / 64; half++) {
        merged.sums[half].x += share * some[i][half].x;
        merged.sums[half].y += share * some[i][half].y;
      }
    }
  }
  return merged;
}

// What a head has made of the whole context, or of a rank's tokens of it.
template <int D, bool SPREAD>
__device__ __forceinline__ void put_attention(const DecodeArguments& args, int row, int head,
                                              const HeadSums<D>& of) {
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < D / 64; half++) {
    int i = half * 64 + 2 * lane;
    if (SPREAD) {
      *reinterpret_cast<float2*>(args.spread.sums<D>(row, head) + i) = of.sums[half];
    } else {
      *reinterpret_cast<uint32_t*>(args.out + row * args.out_stride + (long)head * D + i) =
          pack(of.sums[half].x / of.weight, of.sums[half].y / of.weight);
    }
  }
  if (SPREAD && lane == 0) {
    args.spread.put_weight<D>(row, head, of.largest, of.weight);
  }
}

// What some heads make of no tokens.
template <int D>
__device__ __forceinline__ void put_nothing(const Spread& spread, int row, int first, int heads) {
  for (int i = threadIdx.x; i < heads * D; i += blockDim.x) {
    int head = first + i / D;
    spread.sums<D>(row, head)[i % D] = 0;
    if (i % D == 0) {
      spread.put_weight<D>(row, head, -INFINITY, 0);
    }
  }
}

template <int D, bool SPREAD>
__device__ __forceinline__ void decode_attention(DecodeArguments args, int splits) {
  extern __shared__ __align__(1024) unsigned char memory[];
  let_next_start();
  if (args.before != AFTER_PROMPTS && args.before != AFTER_ROTATION) {
    wait_for_previous();
  }
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int sequence = blockIdx.z;
  int row = args.first_rows[sequence];
  if (args.first_rows[sequence + 1] != row + 1) {
    return;  // A prompt's chunk, or padding.
  }
  int context = SPREAD ? args.spread.held(args.positions[row]) : args.positions[row] + 1;
  int pages = (context + PAGE - 1) / PAGE;
  int share = max((pages + splits - 1) / splits, args.least_pages);
  int used = (pages + share - 1) / share;
  int begin = blockIdx.x * share;
  int end = min(pages, begin + share);
  int group = args.heads / args.kv_heads;
  int tiles = (group + 15) / 16;
  int kv_head = blockIdx.y / tiles;
  int first_head = kv_head * group + blockIdx.y % tiles * 16;
  int heads = min(16, group - blockIdx.y % tiles * 16);
  if (begin >= end) {
    if (SPREAD && blockIdx.x == 0) {
      put_nothing<D>(args.spread, row, first_head, heads);
    }
    return;
  }
  PageWalk<D> walk = {args,
                      args.block_tables + (long)sequence * args.table_stride,
                      kv_head,
                      context,
                      begin + warp,
                      end,
                      shared_address(memory) + warp * DECODE_STAGES * PageWalk<D>::STAGE_BYTES,
                      lane};
  if (args.before == AFTER_ROTATION && walk.begins_with_newest()) {
    wait_for_previous();
  }
  walk.issue_first();
  if (args.before == AFTER_ROTATION) {
    wait_for_previous();
  }
  uint32_t queries[D / 16][4];
  const bf16* query[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int head = first_head + lane / 4 + half * 8;
    query[half] = SPREAD ? args.queries + args.spread.row_of(row, head) * args.query_stride +
                               (long)(head % args.spread.heads) * D
                         : args.queries + row * args.query_stride + (long)head * D;
  }
#pragma unroll
  for (int i = 0; i < D / 16; i++) {
#pragma unroll
    for (int part = 0; part < 4; part++) {
      int head = lane / 4 + part % 2 * 8;
      int at = i * 16 + part / 2 * 8 + lane % 4 * 2;
      queries[i][part] =
          head < heads ? *reinterpret_cast<const uint32_t*>(query[part % 2] + at) : 0;
    }
  }
  args.scale *= LOG2_E;
  RunningSoftmax<D> state;
  state.clear();
  walk_pages<D>(state, queries, walk);
  __syncthreads();

  // Merge the warps.
  float* of_warps = reinterpret_cast<float*>(memory);  // [warp][16][D + 2], as `partial`
  int* last = reinterpret_cast<int*>(of_warps + DECODE_WARPS * 16 * (D + 2));
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int head = lane / 4 + half * 8;
    float* mine = of_warps + (warp * 16 + head) * (D + 2);
    float total = state.weight[half];
    total += __shfl_xor_sync(0xffffffff, total, 1);
    total += __shfl_xor_sync(0xffffffff, total, 2);
    if (lane % 4 == 0) {
      *reinterpret_cast<float2*>(mine + D) = make_float2(state.largest[half], total);
    }
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
      *reinterpret_cast<float2*>(mine + i * 8 + lane % 4 * 2) =
          make_float2(state.sums[i][2 * half], state.sums[i][2 * half + 1]);
    }
  }
  __syncthreads();
  float* partial = args.partial + ((long)sequence * args.heads + first_head) * splits * (D + 2);
  for (int head = warp; head < heads; head += DECODE_WARPS) {
    HeadSums<D> sums =
        merge_parts<D, true>(of_warps + head * (D + 2), 16 * (D + 2), DECODE_WARPS);
    if (used == 1) {
      put_attention<D, SPREAD>(args, row, first_head + head, sums);
      continue;
    }
    float* mine = partial + ((long)head * splits + blockIdx.x) * (D + 2);
#pragma unroll
    for (int half = 0; half < D / 64; half++) {
      *reinterpret_cast<float2*>(mine + half * 64 + 2 * lane) = sums.sums[half];
    }
    if (lane == 0) {
      *reinterpret_cast<float2*>(mine + D) = make_float2(sums.largest, sums.weight);
    }
  }
  if (used == 1) {
    return;
  }

  // Merge the splits, in whichever block comes last.
  __threadfence();
  int* arrived = args.arrived + sequence * gridDim.y + blockIdx.y;
  __syncthreads();
  if (threadIdx.x == 0) {
    *last = atomicAdd(arrived, 1) == used - 1;
  }
  __syncthreads();
  if (!*last) {
    return;
  }
  __threadfence();
  for (int head = warp; head < heads; head += DECODE_WARPS) {
    const float* parts = partial + (long)head * splits * (D + 2);
    put_attention<D, SPREAD>(args, row, first_head + head,
                             merge_parts<D, false>(parts, D + 2, used));
  }
  if (threadIdx.x == 0) {
    *arrived = 0;
  }
}

// Whoever comes next waits for this kernel alone, so it ends no sooner than the one before.
#define DECODE(NAME, D, SPREAD)                                                                \
  extern "C" __global__ void __launch_bounds__(128)                                            \
      NAME(const __grid_constant__ DecodeArguments args) {                                     \
    decode_attention<D, SPREAD>(args, gridDim.x);                                              \
    wait_for_previous();                                                                       \
  }
DECODE(decode_attention_64, 64, false)
DECODE(decode_attention_128, 128, false)
DECODE(decode_spread_64, 64, true)
DECODE(decode_spread_128, 128, true)
