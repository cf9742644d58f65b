// Linear maps of few rows: bound by the bandwidth of the weights, each of which is read once.
#pragma once

// 16 x 64 weights as a warp multiplies them: with g = lane / 4 and t = lane % 4, of rows g and g + 8 the
// sixteen bytes at k = 8t and those at k = 32 + 8t.
struct WeightTile {
  uint4 a[4];
};

// `first` and `second`: whether there is something at those two k.
__device__ __forceinline__ void load_tile(WeightTile& to, const bf16* upper, const bf16* lower,
                                          long offset, bool first, bool second) {
  const uint4 none = make_uint4(0, 0, 0, 0);
  to.a[0] = first ? load_streaming(upper + offset) : none;
  to.a[1] = first ? load_streaming(lower + offset) : none;
  to.a[2] = second ? load_streaming(upper + offset + 32) : none;
  to.a[3] = second ? load_streaming(lower + offset + 32) : none;
}

// sums += half of a tile's weights, of k from 0 or from 32, times the activations at the same k.
__device__ __forceinline__ void multiply_tile(float (&sums)[4], const WeightTile& w, int half,
                                              uint4 x) {
  multiply_add(sums, w.a[2 * half].x, w.a[2 * half + 1].x, w.a[2 * half].y, w.a[2 * half + 1].y, x.x,
               x.y);
  multiply_add(sums, w.a[2 * half].z, w.a[2 * half + 1].z, w.a[2 * half].w, w.a[2 * half + 1].w, x.z,
               x.w);
}

// out[r][o] = sum_k w[o][k] x[r][k] for up to 8 rows.
//
// A block computes 16 outputs of all rows. Its warps share the sum over k in chunks of 64; each
// thread reads 16 bytes of the weights at a time, so that four neighbours read half a cache line,
// and multiplies on tensor cores with k permuted: what is at k = 8t + 0 .. 7 in memory stands at
// 2t, 2t+1, 2t+8, 2t+9 of two products, in weights and activations alike. AHEAD tiles are on their
// way while one is multiplied, the first ones while the kernel before still runs.
template <int AHEAD, typename OUT>
__device__ __forceinline__ void skinny_linear(const bf16* w, long w_stride, const bf16* x,
                                              long x_stride, int rows, int inputs, int outputs,
                                              OUT* out, long out_stride) {
  constexpr int WARPS = 8;
  constexpr int STEP = WARPS * 64;
  __shared__ float partial[WARPS][8][17];
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int g = lane / 4;
  int t = lane % 4;
  int base = blockIdx.x * 16;
  const bf16* upper = w + (long)min(base + g, outputs - 1) * w_stride + t * 8;
  const bf16* lower = w + (long)min(base + g + 8, outputs - 1) * w_stride + t * 8;
  const bf16* activations = x + (long)min(g, rows - 1) * x_stride + t * 8;
  const uint4 none = make_uint4(0, 0, 0, 0);
  WeightTile ahead[AHEAD];
  auto load = [&](WeightTile& to, int k) {
    load_tile(to, upper, lower, k, k + t * 8 < inputs, k + 32 + t * 8 < inputs);
  };
#pragma unroll
  for (int i = 0; i < AHEAD; i++) {
    load(ahead[i], warp * 64 + i * STEP);
  }
  let_next_start();
  // Weights do not depend on the kernel before; activations do.
  wait_for_previous();
  float sums[4] = {};
  for (int k = warp * 64; k < inputs; k += STEP) {
    WeightTile weights = ahead[0];
#pragma unroll
    for (int i = 1; i < AHEAD; i++) {
      ahead[i - 1] = ahead[i];
    }
    load(ahead[AHEAD - 1], k + AHEAD * STEP);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      bool inside = k + half * 32 + t * 8 < inputs;
      uint4 b = inside ? *reinterpret_cast<const uint4*>(activations + k + half * 32) : none;
      multiply_tile(sums, weights, half, b);
    }
  }
  partial[warp][2 * t][g] = sums[0];
  partial[warp][2 * t + 1][g] = sums[1];
  partial[warp][2 * t][g + 8] = sums[2];
  partial[warp][2 * t + 1][g + 8] = sums[3];
  __syncthreads();
  int o = threadIdx.x % 16;
  int r = threadIdx.x / 16;
  if (r < rows && base + o < outputs) {
    float sum = 0;
#pragma unroll
    for (int from = 0; from < WARPS; from++) {
      sum += partial[from][r][o];
    }
    out[r * out_stride + base + o] = (OUT)sum;
  }
}

// Registers for more tiles ahead leave room for fewer blocks on a multiprocessor.
#define SKINNY(NAME, AHEAD, BLOCKS, OUT)                                                          \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                       \
      NAME(const bf16* w, long w_stride, const bf16* x, long x_stride, int rows, int inputs,      \
           int outputs, OUT* out, long out_stride) {                                              \
    skinny_linear<AHEAD, OUT>(w, w_stride, x, x_stride, rows, inputs, outputs, out, out_stride);  \
  }
SKINNY(skinny_ahead_2, 2, 3, bf16)
SKINNY(skinny_ahead_3, 3, 2, bf16)
SKINNY(skinny_ahead_2_f32, 2, 3, float)
SKINNY(skinny_ahead_3_f32, 3, 2, float)
