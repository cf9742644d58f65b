// All kernels, one translation unit: one fatbin.
#include "machine.cuh"
#include "elementwise.cuh"
#include "skinny.cuh"
#include "rotate.cuh"
#include "decode_attention.cuh"
#include "prefill_attention.cuh"
#include "prefill_hopper.cuh"
#include "sampling.cuh"
