// Exchanges of ranks that each have a GPU of their own and write to each other's memory. Every rank
// launches the same kernels in the same order. What tells one launch from another is counted in
// device memory, so that a launch can be recorded and replayed.
#pragma once

constexpr int MOST_RANKS = 8;

// Blocks of a launch at most: all of them are on the device at once, as they wait for others.
constexpr int MEETING_BLOCKS = 128;

// Looks in vain after which a thread tells the host, and asks it whether to go on: some milliseconds.
constexpr int LOOKS = 4096;

// A rank's memory that the others write to, zeroed at first. Behind it lies the inbox:
// uint4[2][ranks][room], packets of each sender, of even and of odd launches.
struct Exchange {
  uint32_t launches[MEETING_BLOCKS];              // so far; all alike between two launches
  uint32_t finished[MEETING_BLOCKS][MOST_RANKS];  // launches whose writes are here, by block and rank
  uint4 opened[MEETING_BLOCKS][MOST_RANKS];       // where a rank's memory is, as a packet
};

struct Peers {
  Exchange* memory[MOST_RANKS];
  volatile uint32_t* host;  // pinned: whether the replica has failed, whether a thread waits long
  int rank;
  int ranks;
  int room;
  int unused;
};

static_assert(sizeof(Exchange) == 20992 && sizeof(Peers) == 88, "PeerExchange lays them out");

// The number of this launch. A block counts for those that this launch does not have, too.
__device__ __forceinline__ uint32_t count_launch(const Peers& peers) {
  uint32_t* launches = peers.memory[peers.rank]->launches;
  uint32_t launch = launches[blockIdx.x] + 1;
  __syncthreads();
  for (int b = blockIdx.x + threadIdx.x * gridDim.x; b < MEETING_BLOCKS; b += blockDim.x * gridDim.x) {
    launches[b] = launch;
  }
  return launch;
}

// Counts a thread's looks in vain.
struct Lookout {
  int looks = 0;

  // Whether to look again: not once the replica has failed.
  __device__ __forceinline__ bool goes_on(const Peers& peers) {
    if (++looks % LOOKS != 0) {
      return true;
    }
    peers.host[1] = 1;
    return peers.host[0] == 0;
  }

  __device__ __forceinline__ void end(const Peers& peers) {
    if (looks >= LOOKS) {
      peers.host[1] = 0;
    }
  }
};

// A packet: eight bytes, each half with the launch it belongs to, so that it needs no other signal.
__device__ __forceinline__ void push(uint4* to, uint2 value, uint32_t launch) {
  store_packet(to, make_uint4(value.x, launch, value.y, launch));
}

// Waits for a packet; false once the replica has failed.
__device__ __forceinline__ bool take(const Peers& peers, const uint4* from, uint32_t launch,
                                     uint2& value) {
  Lookout lookout;
  uint4 v;
  do {
    v = load_packet(from);
    if (v.y == launch && v.w == launch) {
      lookout.end(peers);
      value = make_uint2(v.x, v.z);
      return true;
    }
  } while (lookout.goes_on(peers));
  return false;
}

// Adds four-byte words: two bf16 or one f32 each.
template <bool NARROW, int WORDS>
__device__ __forceinline__ void add_words(float (&sums)[2 * WORDS], const uint32_t (&words)[WORDS]) {
#pragma unroll
  for (int j = 0; j < WORDS; j++) {
    if (NARROW) {
      float2 two = __bfloat1622float2(*reinterpret_cast<const bf162*>(&words[j]));
      sums[2 * j] += two.x;
      sums[2 * j + 1] += two.y;
    } else {
      sums[2 * j] += __uint_as_float(words[j]);
    }
  }
}

template <bool NARROW>
__device__ __forceinline__ uint32_t word(float first, float second) {
  return NARROW ? pack(first, second) : __float_as_uint(first);
}

// data = its sum over ranks, in their order. Each rank pushes its part to all others at once, which
// takes one way over the link and no more. A packet is read before its place is written again: that
// is two launches later, and who is there has finished the launch between, which needs all others in
// it, and so past this one.
template <bool NARROW>
__device__ __forceinline__ void sum_pushed_parts(const Peers& peers, uint2* data, int packets) {
  wait_for_previous();
  let_next_start();
  uint32_t launch = count_launch(peers);
  long half = (long)(launch & 1) * peers.ranks * peers.room;
  int first = blockIdx.x * blockDim.x + threadIdx.x;
  int step = gridDim.x * blockDim.x;
  for (int i = first; i < packets; i += step) {
    uint2 mine = data[i];
    for (int peer = 0; peer < peers.ranks; peer++) {
      if (peer != peers.rank) {
        uint4* inbox = reinterpret_cast<uint4*>(peers.memory[peer] + 1);
        push(inbox + half + (long)peers.rank * peers.room + i, mine, launch);
      }
    }
  }
  const uint4* inbox = reinterpret_cast<const uint4*>(peers.memory[peers.rank] + 1) + half;
  for (int i = first; i < packets; i += step) {
    float sums[4] = {};
    for (int peer = 0; peer < peers.ranks; peer++) {
      uint2 part;
      if (peer == peers.rank) {
        part = data[i];
      } else if (!take(peers, inbox + (long)peer * peers.room + i, launch, part)) {
        return;
      }
      uint32_t words[2] = {part.x, part.y};
      add_words<NARROW, 2>(sums, words);
    }
    data[i] = make_uint2(word<NARROW>(sums[0], sums[1]), word<NARROW>(sums[2], sums[3]));
  }
}

extern "C" __global__ void __launch_bounds__(256)
    sum_pushed(const __grid_constant__ Peers peers, uint2* data, int packets) {
  sum_pushed_parts<true>(peers, data, packets);
}

extern "C" __global__ void __launch_bounds__(256)
    sum_pushed_f32(const __grid_constant__ Peers peers, uint2* data, int packets) {
  sum_pushed_parts<false>(peers, data, packets);
}

// Shows the others this rank's memory and learns where theirs is: they have come as far as this
// launch, so that what they wrote before can be read, and what they read before be written. False
// once the replica has failed, for all threads of a block alike.
template <class T>
__device__ __forceinline__ bool open_memory(const Peers& peers, uint32_t launch, T* mine, T** parts) {
  int peer = threadIdx.x;
  bool met = true;
  if (peer == peers.rank) {
    parts[peer] = mine;
  } else if (peer < peers.ranks) {
    uint64_t address = reinterpret_cast<uint64_t>(mine);
    uint2 shown = make_uint2((uint32_t)address, (uint32_t)(address >> 32));
    __threadfence_system();
    push(&peers.memory[peer]->opened[blockIdx.x][peers.rank], shown, launch);
    uint2 seen;
    met = take(peers, &peers.memory[peers.rank]->opened[blockIdx.x][peer], launch, seen);
    __threadfence_system();
    parts[peer] = reinterpret_cast<T*>((uint64_t)seen.y << 32 | seen.x);
  }
  return __syncthreads_and(met);
}

// Waits until the others' same blocks have read and written all they wanted of this rank's memory.
__device__ __forceinline__ void close_memory(const Peers& peers, uint32_t launch) {
  __syncthreads();
  int peer = threadIdx.x;
  if (peer == peers.rank || peer >= peers.ranks) {
    return;
  }
  uint32_t* theirs = &peers.memory[peer]->finished[blockIdx.x][peers.rank];
  store_for_peers(theirs, launch);
  const uint32_t* mine = &peers.memory[peers.rank]->finished[blockIdx.x][peer];
  Lookout lookout;
  uint32_t finished;
  do {
    finished = load_of_peers(mine);
  } while ((int32_t)(finished - launch) < 0 && lookout.goes_on(peers));
  lookout.end(peers);
}

// data = its sum over ranks, in their order. Each rank sums a share of all ranks' memory, where it
// lies, and writes the sum to all of them. A vector is read and written by one thread of one rank,
// so nobody waits between the two.
template <bool NARROW, int RANKS>
__device__ __forceinline__ void sum_shares(const Peers& peers, uint4* data, long vectors) {
  constexpr int AT_ONCE = 8 / RANKS;
  __shared__ uint4* parts[MOST_RANKS];
  wait_for_previous();
  let_next_start();
  uint32_t launch = count_launch(peers);
  if (!open_memory(peers, launch, data, parts)) {
    return;
  }
  long share = (vectors + peers.ranks - 1) / peers.ranks;
  long end = min(vectors, share * (peers.rank + 1));
  long step = (long)gridDim.x * blockDim.x;
  long first = share * peers.rank + (long)blockIdx.x * blockDim.x + threadIdx.x;
  for (long at = first; at < end; at += AT_ONCE * step) {
    uint4 v[RANKS][AT_ONCE];
#pragma unroll
    for (int peer = 0; peer < RANKS; peer++) {
#pragma unroll
      for (int k = 0; k < AT_ONCE; k++) {
        bool there = peer < peers.ranks && at + k * step < end;
        v[peer][k] = there ? __ldcg(parts[peer] + at + k * step) : make_uint4(0, 0, 0, 0);
      }
    }
#pragma unroll
    for (int k = 0; k < AT_ONCE; k++) {
      float sums[8] = {};
#pragma unroll
      for (int peer = 0; peer < RANKS; peer++) {
        uint32_t words[4] = {v[peer][k].x, v[peer][k].y, v[peer][k].z, v[peer][k].w};
        add_words<NARROW, 4>(sums, words);
      }
      uint4 sum = make_uint4(word<NARROW>(sums[0], sums[1]), word<NARROW>(sums[2], sums[3]),
                             word<NARROW>(sums[4], sums[5]), word<NARROW>(sums[6], sums[7]));
#pragma unroll
      for (int peer = 0; peer < RANKS; peer++) {
        if (peer < peers.ranks && at + k * step < end) {
          parts[peer][at + k * step] = sum;
        }
      }
    }
  }
  close_memory(peers, launch);
}

template <bool NARROW>
__device__ __forceinline__ void sum_shares_of(const Peers& peers, uint4* data, long vectors) {
  if (peers.ranks == 2) {
    sum_shares<NARROW, 2>(peers, data, vectors);
  } else if (peers.ranks <= 4) {
    sum_shares<NARROW, 4>(peers, data, vectors);
  } else {
    sum_shares<NARROW, 8>(peers, data, vectors);
  }
}

extern "C" __global__ void __launch_bounds__(512)
    sum_in_place(const __grid_constant__ Peers peers, uint4* data, long vectors) {
  sum_shares_of<true>(peers, data, vectors);
}

extern "C" __global__ void __launch_bounds__(512)
    sum_in_place_f32(const __grid_constant__ Peers peers, uint4* data, long vectors) {
  sum_shares_of<false>(peers, data, vectors);
}

// Writes this rank's columns of a matrix to every rank's, from the column `first` on.
extern "C" __global__ void __launch_bounds__(512)
    gather_columns(const __grid_constant__ Peers peers, const float* mine, int rows, int columns,
                   float* all, long stride, int first) {
  __shared__ float* parts[MOST_RANKS];
  wait_for_previous();
  let_next_start();
  uint32_t launch = count_launch(peers);
  if (!open_memory(peers, launch, all, parts)) {
    return;
  }
  long step = (long)gridDim.x * blockDim.x;
  long begin = (long)blockIdx.x * blockDim.x + threadIdx.x;
  bool aligned = columns % 4 == 0 && stride % 4 == 0 && first % 4 == 0;
  int width = aligned ? columns / 4 : columns;
  for (long i = begin; i < (long)rows * width; i += step) {
    long row = i / width;
    long column = i - row * width;
    if (aligned) {
      float4 value = reinterpret_cast<const float4*>(mine)[i];
      for (int peer = 0; peer < peers.ranks; peer++) {
        reinterpret_cast<float4*>(parts[peer] + row * stride + first)[column] = value;
      }
    } else {
      for (int peer = 0; peer < peers.ranks; peer++) {
        parts[peer][row * stride + first + column] = mine[i];
      }
    }
  }
  close_memory(peers, launch);
}

// Writes a part of this rank's memory to each rank's, behind those of the ranks before. The parts for
// others lie `step` vectors apart here, 0 where all get the same.
extern "C" __global__ void __launch_bounds__(512)
    put_parts(const __grid_constant__ Peers peers, const uint2* mine, long step, long vectors,
              uint2* all) {
  __shared__ uint2* parts[MOST_RANKS];
  wait_for_previous();
  let_next_start();
  uint32_t launch = count_launch(peers);
  if (!open_memory(peers, launch, all, parts)) {
    return;
  }
  long apart = (long)gridDim.x * blockDim.x;
  long begin = (long)blockIdx.x * blockDim.x + threadIdx.x;
  for (int peer = 0; peer < peers.ranks; peer++) {
    uint2* to = parts[peer] + peers.rank * vectors;
    for (long i = begin; i < vectors; i += apart) {
      to[i] = mine[peer * step + i];
    }
  }
  close_memory(peers, launch);
}
