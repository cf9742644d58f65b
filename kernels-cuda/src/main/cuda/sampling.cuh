// The choice of a token on the device: what the host's Sampler does, with the same noise.
#pragma once

// How a row is sampled, as the host lays it out.
struct RowSampling {
  uint64_t key;       // of the noise: seed, choice and index of the token
  float temperature;  // 0 is greedy
  float least;        // of (logit - largest) / temperature
  float top_p;        // 1 keeps all
  int top_k;          // 0 keeps all
  int slot;           // of the sequence, or -1 for padding
  int history;        // tokens of the sequence so far where penalties count them, else -1
  int prompt;         // of them the prompt's
  float repetition;
  float presence;
  float frequency;
  int first_edit;     // this row's in the step's list of edits: biases, then masked tokens
  int biases;
  int masked;
  int likeliest;      // tokens to report; -1 reports no log-probabilities at all
};

// A token's bias; of a masked token the id alone.
struct Edit {
  int id;
  float bias;
};

constexpr uint32_t IN_PROMPT = 1u << 31;

// Ids that are counted at once.
constexpr int COUNTERS = 8192;

// Repetition, then frequency and presence penalties of the ids from `first` on.
__device__ __forceinline__ void penalise(float* row, int vocabulary, const RowSampling& how,
                                         const int* history, uint32_t* counts, int first) {
  int ids = min(COUNTERS, vocabulary - first);
  __syncthreads();
  for (int i = threadIdx.x; i < ids; i += blockDim.x) {
    counts[i] = 0;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < how.history; i += blockDim.x) {
    int at = history[i] - first;
    if (at < 0 || at >= ids) {
      continue;
    }
    if (i < how.prompt) {
      atomicOr(counts + at, IN_PROMPT);
    } else {
      atomicAdd(counts + at, 1u);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < ids; i += blockDim.x) {
    if (counts[i] == 0) {
      continue;
    }
    // Rounded after each operation, as on the host.
    float logit = row[first + i];
    logit = logit > 0 ? __fdiv_rn(logit, how.repetition) : __fmul_rn(logit, how.repetition);
    uint32_t generated = counts[i] & ~IN_PROMPT;
    if (generated > 0) {
      float less = __fadd_rn(__fmul_rn((float)generated, how.frequency), how.presence);
      logit = __fadd_rn(logit, -less);
    }
    row[first + i] = logit;
  }
}

// Bias, penalties and masked tokens, in place; one block a row.
extern "C" __global__ void __launch_bounds__(256)
    adjust_logits(float* logits, long stride, int vocabulary, const RowSampling* rows,
                  const Edit* edits, const int* histories, long history_stride) {
  __shared__ uint32_t counts[COUNTERS];
  wait_for_previous();
  let_next_start();
  RowSampling how = rows[blockIdx.x];
  if (how.slot < 0) {
    return;
  }
  float* row = logits + blockIdx.x * stride;
  const Edit* mine = edits + how.first_edit;
  for (int i = threadIdx.x; i < how.biases; i += blockDim.x) {
    if (mine[i].id >= 0 && mine[i].id < vocabulary) {
      row[mine[i].id] += mine[i].bias;
    }
  }
  if (how.history >= 0) {
    const int* history = histories + how.slot * history_stride;
    for (int first = 0; first < vocabulary; first += COUNTERS) {
      penalise(row, vocabulary, how, history, counts, first);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < how.masked; i += blockDim.x) {
    int id = mine[how.biases + i].id;
    if (id >= 0 && id < vocabulary) {
      row[id] = -INFINITY;
    }
  }
}

constexpr int NO_ID = 0x7fffffff;

struct Draw {
  double score;
  int id;
};

__device__ __forceinline__ bool beats(Draw a, Draw b) {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
}

__device__ __forceinline__ Draw best_of_block(Draw mine) {
  __shared__ double scores[32];
  __shared__ int ids[32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    Draw other = {__shfl_xor_sync(0xffffffff, mine.score, offset),
                  __shfl_xor_sync(0xffffffff, mine.id, offset)};
    mine = beats(other, mine) ? other : mine;
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    scores[threadIdx.x / 32] = mine.score;
    ids[threadIdx.x / 32] = mine.id;
  }
  __syncthreads();
  Draw best = {scores[0], ids[0]};
  for (int i = 1; i < blockDim.x / 32; i++) {
    Draw other = {scores[i], ids[i]};
    best = beats(other, best) ? other : best;
  }
  return best;
}

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

// Draws from what the filters keep: the candidate with the largest sum of value and noise, Gumbel
// from the upper 52 bits of SplitMix64 of (key, id), in double.
template <bool SORTS>
__device__ __forceinline__ Draw draw(const RowSampling& how, const float* row, int vocabulary,
                                     float top) {
  Cut all = {0, 0};
  ByLogit logits = {row};
  Cut first = SORTS && how.top_k > 0 && how.top_k < vocabulary
                  ? find_cut(logits, vocabulary, how.top_k, range_of(logits, vocabulary), ordered(top))
                  : all;
  ByValue values = {row, top, how.temperature, how.least, first};
  Cut cut = all;
  if (SORTS && how.top_p < 1) {
    Range range = range_of(values, vocabulary);
    cut = find_cut(values, vocabulary, how.top_p * range.all.weight, range, ordered(0.0f));
  }
  Draw best = {-INFINITY, NO_ID};
  for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    float value = (row[id] - top) / how.temperature;
    if (!(value >= how.least && value <= 0) || !keeps(first, ordered(row[id]), id) ||
        !keeps(cut, ordered(value), id)) {
      continue;
    }
    uint64_t bits = mix(how.key + (uint64_t)(id + 1) * 0x9e3779b97f4a7c15ull);
    if (value + (__clzll(bits) + 1) * 0.6931471805599454 < best.score) {
      continue;
    }
    double uniform = ((bits >> 12) + 0.5) * 0x1p-52;
    double score = value - log(-log1p(-uniform));
    if (score > best.score) {
      best = {score, id};
    }
  }
  return best_of_block(best);
}

// Log-probabilities of the row as it is: of the chosen token with its rank, then of the likeliest.
// Written as pairs (id or rank, log-probability); an id of -1 ends the list.
__device__ __forceinline__ void report(const RowSampling& how, const float* row, int vocabulary,
                                       Draw largest, int chosen, int2* out) {
  float own = row[chosen];
  Total mine = {0, 0};
  for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    float logit = row[id];
    if (logit < INFINITY) {
      mine.weight += exp((double)logit - largest.score);
      mine.count += logit >= own;
    }
  }
  Total total = total_of_block(mine);
  double normaliser = largest.score + log(total.weight);
  ByLogit order = {row};
  __shared__ int found;
  __shared__ uint64_t top[32];
  if (threadIdx.x < 32) {
    top[threadIdx.x] = 0;
  }
  if (threadIdx.x == 0) {
    found = 0;
    out[0] = make_int2(total.count, __float_as_int((float)(own - normaliser)));
  }
  if (how.likeliest > 0) {
    Cut cut = find_cut(order, vocabulary, how.likeliest, range_of(order, vocabulary),
                       ordered((float)largest.score));
    for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
      uint32_t key = order.key(id);
      if (key > 0 && keeps(cut, key, id)) {
        top[atomicAdd(&found, 1)] = (uint64_t)key << 32 | (uint32_t)~id;
      }
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 0; i < found; i++) {
      for (int j = i; j > 0 && top[j] > top[j - 1]; j--) {
        uint64_t swap = top[j];
        top[j] = top[j - 1];
        top[j - 1] = swap;
      }
    }
    for (int i = 0; i < how.likeliest; i++) {
      int id = i < found ? (int)~(uint32_t)top[i] : -1;
      float logprob = i < found ? (float)(row[id] - normaliser) : 0;
      out[1 + i] = make_int2(id, __float_as_int(logprob));
    }
  }
}

// One block a row. samples[r] and last[slot] get the id, or -1 (last: 0) when no logit is a number;
// so does the history of a sequence whose tokens are counted.
template <bool SORTS>
__device__ __forceinline__ void choose_token(const float* logits, long stride, int vocabulary,
                                             const RowSampling* rows, int* samples, int* last,
                                             int* histories, long history_stride, int2* reports,
                                             int report_stride) {
  wait_for_previous();
  let_next_start();
  RowSampling how = rows[blockIdx.x];
  if (how.slot < 0) {
    return;
  }
  const float* row = logits + blockIdx.x * stride;
  Draw mine = {-INFINITY, NO_ID};
  for (int id = threadIdx.x; id < vocabulary; id += blockDim.x) {
    float logit = row[id];
    // False for what is not a number.
    if (logit < INFINITY && logit > mine.score) {
      mine = {logit, id};
    }
  }
  Draw largest = best_of_block(mine);
  Draw chosen = largest;
  if (how.temperature > 0 && chosen.id != NO_ID) {
    chosen = draw<SORTS>(how, row, vocabulary, (float)largest.score);
  }
  if (SORTS && how.likeliest >= 0 && chosen.id != NO_ID) {
    report(how, row, vocabulary, largest, chosen.id, reports + (long)blockIdx.x * report_stride);
  }
  if (threadIdx.x == 0) {
    int id = chosen.id == NO_ID ? -1 : chosen.id;
    samples[blockIdx.x] = id;
    last[how.slot] = max(id, 0);
    if (how.history >= 0 && how.history < history_stride) {
      histories[how.slot * history_stride + how.history] = max(id, 0);
    }
  }
}

#define SAMPLE(NAME, SORTS)                                                                       \
  extern "C" __global__ void __launch_bounds__(1024)                                              \
      NAME(const float* logits, long stride, int vocabulary, const RowSampling* rows,             \
           int* samples, int* last, int* histories, long history_stride, int2* reports,           \
           int report_stride) {                                                                   \
    choose_token<SORTS>(logits, stride, vocabulary, rows, samples, last, histories,               \
                        history_stride, reports, report_stride);                                  \
  }
SAMPLE(sample_plain, false)
SAMPLE(sample_sorted, true)

// ids[r] = last[slots[r]] where slots[r] is not negative: tokens the host has not seen.
extern "C" __global__ void take_last_samples(int* ids, const int* slots, const int* last, int rows) {
  wait_for_previous();
  let_next_start();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < rows && slots[i] >= 0) {
    ids[i] = last[slots[i]];
  }
}
