// Where top-k and top-p cut the tokens of a row: the least one that is kept.
#pragma once

constexpr int NO_ID = 0x7fffffff;

struct Total {
  double weight;
  int count;
};

__device__ __forceinline__ Total total_of_block(Total mine) {
  __shared__ double weights[32];
  __shared__ int counts[32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    mine.weight += __shfl_xor_sync(0xffffffff, mine.weight, offset);
    mine.count += __shfl_xor_sync(0xffffffff, mine.count, offset);
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    weights[threadIdx.x / 32] = mine.weight;
    counts[threadIdx.x / 32] = mine.count;
  }
  __syncthreads();
  Total total = {0, 0};
  for (int i = 0; i < blockDim.x / 32; i++) {
    total.weight += weights[i];
    total.count += counts[i];
  }
  return total;
}

// Orders as the float does; 0 is below every number. Minus zero and zero are one.
__device__ __forceinline__ uint32_t ordered(float value) {
  int bits = __float_as_int(value + 0.0f);
  return (uint32_t)(bits ^ (bits >> 31 | (int)0x80000000));
}

__device__ __forceinline__ float unordered(uint32_t key) {
  return __int_as_float((int)(key & 0x80000000u ? key ^ 0x80000000u : ~key));
}

// The least token that is kept: one of that value and a higher id is not.
struct Cut {
  uint32_t key;
  int id;
};

__device__ __forceinline__ bool keeps(Cut cut, uint32_t key, int id) {
  return key > cut.key || (key == cut.key && id <= cut.id);
}

// Logits as keys, each with weight 1: the first k.
struct ByLogit {
  const float* row;

  __device__ __forceinline__ uint32_t key(int id) const {
    float logit = row[id];
    // False for what is not a number.
    return logit < INFINITY && logit > -INFINITY ? ordered(logit) : 0;
  }

  __device__ __forceinline__ double weight(uint32_t key) const { return 1; }
};

// Values of what top-k and min-p left as keys, with their shares of the probability as weights.
struct ByValue {
  const float* row;
  float top;
  float temperature;
  float least;
  Cut first;

  __device__ __forceinline__ uint32_t key(int id) const {
    float value = (row[id] - top) / temperature;
    bool kept = value >= least && value <= 0 && keeps(first, ordered(row[id]), id);
    return kept ? ordered(value) : 0;
  }

  __device__ __forceinline__ double weight(uint32_t key) const { return expf(unordered(key)); }
};

// What is left to search at once in shared memory.
constexpr int NEAR = 2048;

struct Search {
  uint64_t near[NEAR];  // key, then the inverted id: largest first is likeliest first
  int count;
  int last;
};

__device__ __forceinline__ void sort_near(uint64_t* near) {
  for (int size = 2; size <= NEAR; size *= 2) {
    for (int step = size / 2; step > 0; step /= 2) {
      __syncthreads();
      for (int i = threadIdx.x; i < NEAR; i += blockDim.x) {
        int other = i ^ step;
        if (other > i && (near[i] < near[other]) == ((i & size) == 0)) {
          uint64_t swap = near[i];
          near[i] = near[other];
          near[other] = swap;
        }
      }
    }
  }
  __syncthreads();
}

// Totals of the keys from each bound on; bounds rise. Also finds the least key from the first on.
template <class ORDER, int BOUNDS>
__device__ __forceinline__ void totals_from(Total (&totals)[BOUNDS], const ORDER& order,
                                            int vocabulary, const uint32_t (&bounds)[BOUNDS],
                                            uint32_t& lowest) {
#pragma unroll
  for (int i = 0; i < BOUNDS; i++) {
    totals[i] = {0, 0};
  }
  uint32_t least = 0xffffffff;
  for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    uint32_t key = order.key(id);
    if (key < bounds[0]) {
      continue;
    }
    least = min(least, key);
    double weight = order.weight(key);
#pragma unroll
    for (int i = 0; i < BOUNDS; i++) {
      totals[i].weight += key >= bounds[i] ? weight : 0;
      totals[i].count += key >= bounds[i];
    }
  }
#pragma unroll
  for (int i = 0; i < BOUNDS; i++) {
    totals[i] = total_of_block(totals[i]);
  }
  __shared__ uint32_t leasts[32];
  least = __reduce_min_sync(0xffffffff, least);
  if (threadIdx.x % 32 == 0) {
    leasts[threadIdx.x / 32] = least;
  }
  __syncthreads();
  for (int i = 0; i < blockDim.x / 32; i++) {
    least = min(least, leasts[i]);
  }
  __syncthreads();
  lowest = least;
}

// All candidates: what they weigh together, and the least of them.
struct Range {
  Total all;
  uint32_t lowest;
};

template <class ORDER>
__device__ __forceinline__ Range range_of(const ORDER& order, int vocabulary) {
  Total totals[1];
  uint32_t bounds[1] = {1};
  Range range;
  totals_from(totals, order, vocabulary, bounds, range.lowest);
  range.all = totals[0];
  return range;
}

// The lowest ids of one key that together reach a weight.
template <class ORDER>
__device__ __forceinline__ Cut cut_equals(const ORDER& order, int vocabulary, uint32_t key,
                                          double missing) {
  double each = order.weight(key);
  int low = 0;
  int high = vocabulary - 1;
  while (low < high) {
    int middle = (low + high) / 2;
    Total mine = {0, 0};
    for (int id = threadIdx.x; id <= middle; id += blockDim.x) {
      mine.count += order.key(id) == key;
    }
    if (total_of_block(mine).count * each >= missing) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return {key, low};
}

// Of the sorted keys near the cut, the first that brings the weights to `missing`; or the last.
template <class ORDER>
__device__ __forceinline__ Cut cut_near(Search& search, const ORDER& order, double missing) {
  __shared__ double before[33];
  if (threadIdx.x == 0) {
    search.last = search.count - 1;
  }
  int mine = 2 * threadIdx.x;
  bool some = mine < search.count;
  bool both = mine + 1 < search.count;
  double first = some ? order.weight((uint32_t)(search.near[mine] >> 32)) : 0;
  double second = both ? order.weight((uint32_t)(search.near[mine + 1] >> 32)) : 0;
  double through = first + second;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    double other = __shfl_up_sync(0xffffffff, through, offset);
    through += threadIdx.x % 32 >= offset ? other : 0;
  }
  if (threadIdx.x % 32 == 31) {
    before[threadIdx.x / 32 + 1] = through;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    before[0] = 0;
    for (int i = 1; i < blockDim.x / 32; i++) {
      before[i] += before[i - 1];
    }
  }
  __syncthreads();
  through += before[threadIdx.x / 32];
  if (some && through - second >= missing) {
    atomicMin(&search.last, mine);
  } else if (both && through >= missing) {
    atomicMin(&search.last, mine + 1);
  }
  __syncthreads();
  uint64_t last = search.near[search.last];
  __syncthreads();
  return {(uint32_t)(last >> 32), (int)~(uint32_t)last};
}

// The smallest set of the largest keys, of equals the lower id first, whose weights reach `target`;
// at least one. Quarters the range of keys until few are left, and sorts these.
template <class ORDER>
__device__ __forceinline__ Cut find_cut(const ORDER& order, int vocabulary, double target,
                                        Range range, uint32_t highest) {
  __shared__ Search search;
  uint32_t low = range.lowest;  // Keys from here on reach the target.
  uint32_t high = highest + 1;  // Keys from here on do not.
  Total through = range.all;
  Total above = {0, 0};
  for (int round = 0; high - low > 1 && through.count - above.count > NEAR; round++) {
    // Even parts of the values as a rule, of their bits every other time, so that it ends soon.
    uint32_t bounds[3];
    float from = unordered(low);
    float step = unordered(high - 1) / 4 - from / 4;
#pragma unroll
    for (int i = 0; i < 3; i++) {
      uint32_t bits = low + (uint32_t)((uint64_t)(high - low) * (i + 1) / 4);
      uint32_t even = ordered(from + (i + 1) * step);
      bounds[i] = max(round % 2 == 0 ? min(even, high - 1) : bits, low + 1);
    }
    Total totals[3];
    uint32_t least;
    totals_from(totals, order, vocabulary, bounds, least);
#pragma unroll
    for (int i = 0; i < 3; i++) {
      if (totals[i].weight >= target && totals[i].count > 0) {
        low = bounds[i];
        through = totals[i];
      }
    }
#pragma unroll
    for (int i = 2; i >= 0; i--) {
      if (bounds[i] > low) {
        high = bounds[i];
        above = totals[i];
      }
    }
  }
  double missing = target - above.weight;
  if (through.count - above.count > NEAR) {
    return cut_equals(order, vocabulary, low, missing);
  }
  for (int i = threadIdx.x; i < NEAR; i += blockDim.x) {
    search.near[i] = 0;
  }
  if (threadIdx.x == 0) {
    search.count = 0;
  }
  __syncthreads();
  for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    uint32_t key = order.key(id);
    if (key >= low && key < high) {
      search.near[atomicAdd(&search.count, 1)] = (uint64_t)key << 32 | (uint32_t)~id;
    }
  }
  sort_near(search.near);
  return cut_near(search, order, missing);
}
