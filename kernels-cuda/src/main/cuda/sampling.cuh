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
