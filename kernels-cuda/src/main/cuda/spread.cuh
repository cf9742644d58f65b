// What ranks need that have different rows of a step, or different tokens of a sequence.
#pragma once

// Puts keys and values, rotated before, into the cache: a row is [key of each head | value of each].
// Rows at a negative position are left out. Vectors are of sixteen bytes.
extern "C" __global__ void __launch_bounds__(256)
    store_rows(const uint4* keys_values, const int* positions, const int* row_sequences,
               const __grid_constant__ CacheTokens tokens, int head_vectors, uint4* keys,
               uint4* values) {
  wait_for_previous();
  let_next_start();
  int row = blockIdx.x;
  int position = positions[row];
  if (position < 0) {
    return;
  }
  int half = tokens.kv_heads * head_vectors;
  for (int i = threadIdx.x; i < 2 * half; i += blockDim.x) {
    long slot = tokens.slot(row_sequences[row], position, i % half / head_vectors);
    if (slot >= 0) {
      uint4* to = i < half ? keys : values;
      to[slot * head_vectors + i % head_vectors] = keys_values[(long)row * 2 * half + i];
    }
  }
}

// out = x, in units of four bytes.
extern "C" __global__ void __launch_bounds__(256)
    copy_rows(const uint32_t* x, long x_stride, int words, uint32_t* out, long out_stride) {
  wait_for_previous();
  let_next_start();
  for (int i = threadIdx.x; i < words; i += blockDim.x) {
    out[blockIdx.x * out_stride + i] = x[blockIdx.x * x_stride + i];
  }
}

// A head's attention from what each rank made of the tokens it holds: `parts` is as Spread leaves it.
// A thread an element; zero where nobody holds a token.
extern "C" __global__ void merge_attention(const float* parts, long stride, int count, int rows,
                                           int heads, bf16* out, long out_stride) {
  wait_for_previous();
  let_next_start();
  int dim = blockDim.x;
  int head = blockIdx.y;
  const float* first = parts + blockIdx.x * stride;
  const float* largest = first + (long)heads * dim + head;
  const float* weight = largest + heads;
  float overall = -INFINITY;
  for (int part = 0; part < count; part++) {
    overall = fmaxf(overall, largest[part * rows * stride]);
  }
  float sum = 0;
  float total = 0;
  for (int part = 0; part < count; part++) {
    long at = part * rows * stride;
    float share = largest[at] == -INFINITY ? 0 : __expf(largest[at] - overall);
    sum += share * first[at + head * dim + threadIdx.x];
    total += share * weight[at];
  }
  out[blockIdx.x * out_stride + head * dim + threadIdx.x] =
      __float2bfloat16_rn(total == 0 ? 0 : sum / total);
}

// The ranks that have an expert of each row, a bit each; a rank has `per_rank` neighbours of those
// that count as local here. A warp a row.
template <int SLOTS>
__device__ __forceinline__ void find_ranks(const RouteArguments& args, int per_rank, int* ranks) {
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  wait_for_previous();
  let_next_start();
  if (row >= args.rows) {
    return;
  }
  int expert = choose_experts<SLOTS>(args, row).expert;
  bool here = threadIdx.x % 32 < args.per_token && expert >= 0;
  unsigned found = __reduce_or_sync(0xffffffff, here ? 1u << expert / per_rank : 0);
  if (threadIdx.x % 32 == 0) {
    ranks[row] = (int)found;
  }
}

extern "C" __global__ void __launch_bounds__(256)
    find_ranks_128(const __grid_constant__ RouteArguments args, int per_rank, int* ranks) {
  find_ranks<4>(args, per_rank, ranks);
}

extern "C" __global__ void __launch_bounds__(256)
    find_ranks_512(const __grid_constant__ RouteArguments args, int per_rank, int* ranks) {
  find_ranks<16>(args, per_rank, ranks);
}

// One block: the rows of each rank in their order, one rank's after another's, and how many each has.
extern "C" __global__ void __launch_bounds__(1024)
    list_rows(const int* ranks_of_rows, int rows, int ranks, int* list, int* counts) {
  __shared__ int of_warp[32];
  wait_for_previous();
  let_next_start();
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int listed = 0;
  for (int rank = 0; rank < ranks; rank++) {
    int first = listed;
    for (int base = 0; base < rows; base += blockDim.x) {
      int row = base + threadIdx.x;
      bool here = row < rows && (ranks_of_rows[row] >> rank & 1) != 0;
      unsigned found = __ballot_sync(0xffffffff, here);
      if (lane == 0) {
        of_warp[warp] = __popc(found);
      }
      __syncthreads();
      int before = 0;
      int all = 0;
      for (int w = 0; w < blockDim.x / 32; w++) {
        before += w < warp ? of_warp[w] : 0;
        all += of_warp[w];
      }
      if (here) {
        list[listed + before + __popc(found & ((1u << lane) - 1))] = row;
      }
      listed += all;
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      counts[rank] = listed - first;
    }
  }
}

// out[r] = the sum of all x[i] with rows[i] = r, at most MOST_RANKS of them, in their order, rounded
// once. Pairs of columns are of four bytes.
extern "C" __global__ void __launch_bounds__(256)
    sum_rows(const uint32_t* x, long x_stride, const int* rows, int count, int pairs, uint32_t* out,
             long out_stride) {
  __shared__ int found[8][MOST_RANKS];
  __shared__ int found_count[8];
  wait_for_previous();
  let_next_start();
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int share = (count + 7) / 8;
  int mine = 0;
  for (int base = warp * share; base < min(count, (warp + 1) * share); base += 32) {
    int i = base + lane;
    bool here = i < min(count, (warp + 1) * share) && rows[i] == blockIdx.x;
    unsigned those = __ballot_sync(0xffffffff, here);
    if (here) {
      found[warp][mine + __popc(those & ((1u << lane) - 1))] = i;
    }
    mine += __popc(those);
  }
  if (lane == 0) {
    found_count[warp] = mine;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    float2 sum = make_float2(0, 0);
    for (int w = 0; w < 8; w++) {
      for (int j = 0; j < found_count[w]; j++) {
        uint32_t word = x[found[w][j] * x_stride + i];
        float2 two = __bfloat1622float2(*reinterpret_cast<bf162*>(&word));
        sum.x += two.x;
        sum.y += two.y;
      }
    }
    out[blockIdx.x * out_stride + i] = pack(sum.x, sum.y);
  }
}
