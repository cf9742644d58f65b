// Embedding, norms, activation, gathers, and what fills and converts weights.
#pragma once

// out[r] = table[ids[r]], widened.
extern "C" __global__ void embed(const bf16* table, const int* ids, int columns, long table_stride,
                                 float* out, long out_stride) {
  wait_for_previous();
  let_next_start();
  const bf16* from = table + (long)ids[blockIdx.x] * table_stride;
  float* to = out + blockIdx.x * out_stride;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) {
    to[i] = __bfloat162float(from[i]);
  }
}

// The same of a part of the table that begins at the id `first`: zeros for ids outside.
extern "C" __global__ void embed_part(const bf16* table, const int* ids, int first, int rows,
                                      int columns, long table_stride, float* out,
                                      long out_stride) {
  wait_for_previous();
  let_next_start();
  int id = ids[blockIdx.x] - first;
  bool inside = id >= 0 && id < rows;
  const bf16* from = table + (inside ? id : 0) * table_stride;
  float* to = out + blockIdx.x * out_stride;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) {
    to[i] = inside ? __bfloat162float(from[i]) : 0;
  }
}

__device__ __forceinline__ float sum_over_block(float value) {
  __shared__ float partial[32];
  value = sum_over_warp(value);
  if (threadIdx.x % 32 == 0) {
    partial[threadIdx.x / 32] = value;
  }
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < blockDim.x / 32; i++) {
    sum += partial[i];
  }
  return sum;
}

// residual += delta where there is a delta, then out = residual / rms(residual) * weight. One block
// a row; the row waits in shared memory between its two passes. Columns are a multiple of four.
extern "C" __global__ void __launch_bounds__(1024)
    add_rms_norm(float* residual, long residual_stride, const bf16* delta, long delta_stride,
                 const float* weight, float epsilon, int columns, bf16* out, long out_stride) {
  extern __shared__ float4 row[];
  const float4* weights = reinterpret_cast<const float4*>(weight);
  prefetch(weights + min((int)threadIdx.x, columns / 4 - 1));
  let_next_start();
  wait_for_previous();
  float4* sums = reinterpret_cast<float4*>(residual + blockIdx.x * residual_stride);
  const uint2* added = reinterpret_cast<const uint2*>(delta + blockIdx.x * delta_stride);
  float squares = 0;
  for (int i = threadIdx.x; i < columns / 4; i += blockDim.x) {
    float4 v = sums[i];
    if (delta != nullptr) {
      uint2 d = added[i];
      float2 low = __bfloat1622float2(*reinterpret_cast<bf162*>(&d.x));
      float2 high = __bfloat1622float2(*reinterpret_cast<bf162*>(&d.y));
      v = make_float4(v.x + low.x, v.y + low.y, v.z + high.x, v.w + high.y);
      sums[i] = v;
    }
    row[i] = v;
    squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  float scale = rsqrtf(sum_over_block(squares) / columns + epsilon);
  uint2* to = reinterpret_cast<uint2*>(out + blockIdx.x * out_stride);
  for (int i = threadIdx.x; i < columns / 4; i += blockDim.x) {
    float4 v = row[i];
    float4 w = weights[i];
    to[i] = make_uint2(pack(v.x * scale * w.x, v.y * scale * w.y),
                       pack(v.z * scale * w.z, v.w * scale * w.w));
  }
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + __expf(-x)); }

// out = silu(gate) * up over rows [gate | up]. Columns of out are a multiple of eight.
extern "C" __global__ void silu_multiply(const bf16* gate_up, long in_stride, int columns, bf16* out,
                                         long out_stride) {
  int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  wait_for_previous();
  let_next_start();
  if (i >= columns) {
    return;
  }
  const bf16* from = gate_up + blockIdx.y * in_stride;
  uint4 gate = *reinterpret_cast<const uint4*>(from + i);
  uint4 up = *reinterpret_cast<const uint4*>(from + columns + i);
  uint32_t g[4] = {gate.x, gate.y, gate.z, gate.w};
  uint32_t u[4] = {up.x, up.y, up.z, up.w};
  uint32_t r[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    float2 a = __bfloat1622float2(*reinterpret_cast<bf162*>(&g[j]));
    float2 b = __bfloat1622float2(*reinterpret_cast<bf162*>(&u[j]));
    r[j] = pack(silu(a.x) * b.x, silu(a.y) * b.y);
  }
  *reinterpret_cast<uint4*>(out + blockIdx.y * out_stride + i) = make_uint4(r[0], r[1], r[2], r[3]);
}

// out[i] = x[rows[i]], in units of four bytes.
extern "C" __global__ void gather_rows(const uint32_t* x, long x_stride, const int* rows, int words,
                                       uint32_t* out, long out_stride) {
  wait_for_previous();
  let_next_start();
  const uint32_t* from = x + (long)rows[blockIdx.x] * x_stride;
  for (int i = threadIdx.x; i < words; i += blockDim.x) {
    out[blockIdx.x * out_stride + i] = from[i];
  }
}

// out[r] += bias, bf16.
extern "C" __global__ void add_bias(bf16* out, long out_stride, const float* bias, int columns) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  wait_for_previous();
  let_next_start();
  if (i < columns) {
    bf16* at = out + blockIdx.y * out_stride + i;
    *at = __float2bfloat16_rn(__bfloat162float(*at) + bias[i]);
  }
}

// out[r] += bias, f32.
extern "C" __global__ void add_bias_f32(float* out, long out_stride, const float* bias, int columns) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  wait_for_previous();
  let_next_start();
  if (i < columns) {
    out[blockIdx.y * out_stride + i] += bias[i];
  }
}

// f32 to bf16.
extern "C" __global__ void narrow_f32(const float* from, bf16* to, long count) {
  long step = (long)gridDim.x * blockDim.x;
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
    to[i] = __float2bfloat16_rn(from[i]);
  }
}

// f16 to bf16.
extern "C" __global__ void narrow_f16(const __half* from, bf16* to, long count) {
  long step = (long)gridDim.x * blockDim.x;
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
    to[i] = __float2bfloat16_rn(__half2float(from[i]));
  }
}

__device__ __forceinline__ uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Random weights: byte b of word w of a SplitMix64 stream picks one of 256 values of element
// 8 w + b. The same function as on the host. Rows are `stride` elements apart in the stream.
extern "C" __global__ void fill_random(bf16* to, long first, long count, long columns, long stride,
                                       uint64_t key, const unsigned short* values) {
  __shared__ unsigned short table[256];
  if (threadIdx.x < 256) {
    table[threadIdx.x] = values[threadIdx.x];
  }
  __syncthreads();
  long step = (long)gridDim.x * blockDim.x;
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < (count + 7) / 8; i += step) {
    long at = columns == stride ? i * 8 : i * 8 / columns * stride + i * 8 % columns;
    uint64_t bits = mix(key + (uint64_t)((first + at) / 8) * 0x9e3779b97f4a7c15ull);
    unsigned short element[8];
#pragma unroll
    for (int lane = 0; lane < 8; lane++) {
      element[lane] = table[(bits >> (8 * lane)) & 255];
    }
    if (i * 8 + 8 <= count) {
      *reinterpret_cast<uint4*>(to + i * 8) = *reinterpret_cast<uint4*>(element);
    } else {
      for (long j = i * 8; j < count; j++) {
        reinterpret_cast<unsigned short*>(to)[j] = element[j - i * 8];
      }
    }
  }
}

// The parts of one sum, of each rank.
struct RankParts {
  const void* parts[8];
  void* out;
  long count;
  int ranks;
  int unused;
};

// out = the sum over ranks, in their order.
extern "C" __global__ void sum_ranks_f32(const __grid_constant__ RankParts args) {
  long step = (long)gridDim.x * blockDim.x;
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < args.count; i += step) {
    float sum = 0;
    for (int rank = 0; rank < args.ranks; rank++) {
      sum += static_cast<const float*>(args.parts[rank])[i];
    }
    static_cast<float*>(args.out)[i] = sum;
  }
}

// The same in bf16, rounded once; the count is a multiple of eight.
extern "C" __global__ void sum_ranks(const __grid_constant__ RankParts args) {
  long step = (long)gridDim.x * blockDim.x;
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < args.count / 8; i += step) {
    float sums[8] = {};
    for (int rank = 0; rank < args.ranks; rank++) {
      uint4 part = static_cast<const uint4*>(args.parts[rank])[i];
      uint32_t words[4] = {part.x, part.y, part.z, part.w};
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float2 two = __bfloat1622float2(*reinterpret_cast<bf162*>(&words[j]));
        sums[2 * j] += two.x;
        sums[2 * j + 1] += two.y;
      }
    }
    static_cast<uint4*>(args.out)[i] =
        make_uint4(pack(sums[0], sums[1]), pack(sums[2], sums[3]), pack(sums[4], sums[5]),
                   pack(sums[6], sums[7]));
  }
}

// Rows of some columns, without gaps, into a wider matrix.
extern "C" __global__ void put_columns(const float* from, int columns, float* to, long stride) {
  for (int i = threadIdx.x; i < columns; i += blockDim.x) {
    to[blockIdx.x * stride + i] = from[(long)blockIdx.x * columns + i];
  }
}

// Keeps the stream busy for so many cycles, so that what the host sends meanwhile runs without gaps.
extern "C" __global__ void delay(int cycles) {
  long long start = clock64();
  while (clock64() - start < cycles) {
  }
}
