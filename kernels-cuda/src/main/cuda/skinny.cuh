// Linear maps of few rows: bound by the bandwidth of the weights, each of which is read once.
#pragma once

// out[r][o] = sum_k w[o][k] x[r][k] (+ bias[o]) for up to 8 * TILES rows.
//
// A block computes 16 outputs of all rows. Its warps share the sum over k in chunks of 64; each
// thread reads 16 bytes of the weights at a time, so that four neighbours read half a cache line,
// and multiplies on tensor cores with k permuted: what is at k = 8t + 0 .. 7 in memory stands at
// 2t, 2t+1, 2t+8, 2t+9 of two products, in weights and activations alike.
template <int TILES, typename OUT>
__device__ __forceinline__ void skinny_linear(const bf16* w, long w_stride, const bf16* x,
                                              long x_stride, int rows, int inputs, int outputs,
                                              OUT* out, long out_stride, const float* bias) {
  constexpr int WARPS = 8;
  __shared__ float partial[WARPS][8 * TILES][17];
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int g = lane / 4;
  int t = lane % 4;
  int base = blockIdx.x * 16;
  const bf16* upper = w + (long)min(base + g, outputs - 1) * w_stride + t * 8;
  const bf16* lower = w + (long)min(base + g + 8, outputs - 1) * w_stride + t * 8;
  const bf16* activations[TILES];
#pragma unroll
  for (int tile = 0; tile < TILES; tile++) {
    activations[tile] = x + (long)min(tile * 8 + g, rows - 1) * x_stride + t * 8;
  }
  float sums[TILES][4] = {};
  const uint4 none = make_uint4(0, 0, 0, 0);
  bool waited = false;
  for (int k = warp * 64; k < inputs; k += WARPS * 64) {
    bool second = k + 32 + t * 8 < inputs;
    bool first = k + t * 8 < inputs;
    uint4 a[2][2];
    a[0][0] = first ? load_streaming(upper + k) : none;
    a[0][1] = first ? load_streaming(lower + k) : none;
    a[1][0] = second ? load_streaming(upper + k + 32) : none;
    a[1][1] = second ? load_streaming(lower + k + 32) : none;
    if (!waited) {
      // Weights do not depend on the kernel before; activations do.
      wait_for_previous();
      waited = true;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      bool inside = half == 0 ? first : second;
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        uint4 b = inside ? *reinterpret_cast<const uint4*>(activations[tile] + k + half * 32) : none;
        multiply_add(sums[tile], a[half][0].x, a[half][1].x, a[half][0].y, a[half][1].y, b.x, b.y);
        multiply_add(sums[tile], a[half][0].z, a[half][1].z, a[half][0].w, a[half][1].w, b.z, b.w);
      }
    }
  }
  if (!waited) {
    wait_for_previous();
  }
  let_next_start();
#pragma unroll
  for (int tile = 0; tile < TILES; tile++) {
    partial[warp][tile * 8 + 2 * t][g] = sums[tile][0];
    partial[warp][tile * 8 + 2 * t + 1][g] = sums[tile][1];
    partial[warp][tile * 8 + 2 * t][g + 8] = sums[tile][2];
    partial[warp][tile * 8 + 2 * t + 1][g + 8] = sums[tile][3];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 16 * 8 * TILES; i += blockDim.x) {
    int o = i % 16;
    int r = i / 16;
    if (r < rows && base + o < outputs) {
      float sum = bias == nullptr ? 0 : bias[base + o];
#pragma unroll
      for (int from = 0; from < WARPS; from++) {
        sum += partial[from][r][o];
      }
      out[r * out_stride + base + o] = (OUT)sum;
    }
  }
}

#define SKINNY(NAME, TILES, OUT)                                                                  \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      NAME(const bf16* w, long w_stride, const bf16* x, long x_stride, int rows, int inputs,      \
           int outputs, OUT* out, long out_stride, const float* bias) {                           \
    skinny_linear<TILES, OUT>(w, w_stride, x, x_stride, rows, inputs, outputs, out, out_stride,   \
                              bias);                                                              \
  }
SKINNY(skinny_8, 1, bf16)
SKINNY(skinny_16, 2, bf16)
SKINNY(skinny_32, 4, bf16)
SKINNY(skinny_8_f32, 1, float)
SKINNY(skinny_16_f32, 2, float)
SKINNY(skinny_32_f32, 4, float)
