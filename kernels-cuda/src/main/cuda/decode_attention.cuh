// Attention of sequences that compute one token: bound by the bandwidth of the KV cache.
#pragma once

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
constexpr int AFTER_OTHER = 0;
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

// What a block computes: a split of a sequence's pages for at most 16 heads of a kv head.
struct DecodePart {
  int row;
  int used;   // splits of the context that are not empty
  int begin;  // pages
  int end;
  int kv_head;
  int first_head;
  int heads;
};

__device__ __forceinline__ DecodePart part_of_block(const DecodeArguments& args, int splits, int row,
                                                    int context) {
  int pages = (context + PAGE - 1) / PAGE;
  int share = max((pages + splits - 1) / splits, args.least_pages);
  int begin = blockIdx.x * share;
  int group = args.heads / args.kv_heads;
  int tiles = (group + 15) / 16;
  int kv_head = blockIdx.y / tiles;
  int first = blockIdx.y % tiles * 16;
  return {
      row,
      (pages + share - 1) / share,
      begin,
      min(pages, begin + share),
      kv_head,
      kv_head * group + first,
      min(16, group - first),
  };
}

template <int D, bool SPREAD>
__device__ __forceinline__ void load_queries(uint32_t (&queries)[D / 16][4],
                                             const DecodeArguments& args, const DecodePart& part) {
  int lane = threadIdx.x % 32;
  const bf16* query[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int head = part.first_head + lane / 4 + half * 8;
    query[half] = SPREAD ? args.queries + args.spread.row_of(part.row, head) * args.query_stride +
                               (long)(head % args.spread.heads) * D
                         : args.queries + part.row * args.query_stride + (long)head * D;
  }
#pragma unroll
  for (int i = 0; i < D / 16; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int head = lane / 4 + j % 2 * 8;
      int at = i * 16 + j / 2 * 8 + lane % 4 * 2;
      queries[i][j] =
          head < part.heads ? *reinterpret_cast<const uint32_t*>(query[j % 2] + at) : 0;
    }
  }
}

// Leaves what a warp knows of its heads, [16][D + 2], as `partial`.
template <int D>
__device__ __forceinline__ void leave_sums(float* to, const RunningSoftmax<D>& state) {
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float* mine = to + (lane / 4 + half * 8) * (D + 2);
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
}

// Puts together what the warps have left: the result where there is one split, a part of it else.
template <int D, bool SPREAD>
__device__ __forceinline__ void merge_warps(const DecodeArguments& args, const DecodePart& part,
                                            const float* of_warps, float* partial, int splits) {
  int lane = threadIdx.x % 32;
  for (int head = threadIdx.x / 32; head < part.heads; head += DECODE_WARPS) {
    HeadSums<D> sums =
        merge_parts<D, true>(of_warps + head * (D + 2), 16 * (D + 2), DECODE_WARPS);
    if (part.used == 1) {
      put_attention<D, SPREAD>(args, part.row, part.first_head + head, sums);
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
}

// Puts the splits together, in whichever block comes last. `last` is shared memory.
template <int D, bool SPREAD>
__device__ __forceinline__ void merge_splits(const DecodeArguments& args, const DecodePart& part,
                                             const float* partial, int splits, int* last) {
  int* arrived = args.arrived + blockIdx.z * gridDim.y + blockIdx.y;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    *last = atomicAdd(arrived, 1) == part.used - 1;
  }
  __syncthreads();
  if (!*last) {
    return;
  }
  __threadfence();
  for (int head = threadIdx.x / 32; head < part.heads; head += DECODE_WARPS) {
    const float* parts = partial + (long)head * splits * (D + 2);
    put_attention<D, SPREAD>(args, part.row, part.first_head + head,
                             merge_parts<D, false>(parts, D + 2, part.used));
  }
  if (threadIdx.x == 0) {
    *arrived = 0;
  }
}

template <int D, bool SPREAD>
__device__ __forceinline__ void decode_attention(DecodeArguments args, int splits) {
  extern __shared__ __align__(1024) unsigned char memory[];
  let_next_start();
  if (args.before == AFTER_OTHER) {
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
  DecodePart part = part_of_block(args, splits, row, context);
  if (part.begin >= part.end) {
    if (SPREAD && blockIdx.x == 0) {
      put_nothing<D>(args.spread, row, part.first_head, part.heads);
    }
    return;
  }
  PageWalk<D> walk = {args,
                      args.block_tables + (long)sequence * args.table_stride,
                      part.kv_head,
                      context,
                      part.begin + warp,
                      part.end,
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
  load_queries<D, SPREAD>(queries, args, part);
  args.scale *= LOG2_E;
  RunningSoftmax<D> state;
  state.clear();
  walk_pages<D>(state, queries, walk);
  __syncthreads();
  float* of_warps = reinterpret_cast<float*>(memory);  // [warp][16][D + 2]
  leave_sums<D>(of_warps + warp * 16 * (D + 2), state);
  __syncthreads();
  float* partial = args.partial + ((long)sequence * args.heads + part.first_head) * splits * (D + 2);
  merge_warps<D, SPREAD>(args, part, of_warps, partial, splits);
  if (part.used > 1) {
    int* last = reinterpret_cast<int*>(of_warps + DECODE_WARPS * 16 * (D + 2));
    merge_splits<D, SPREAD>(args, part, partial, splits, last);
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
