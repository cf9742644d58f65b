/*
 * The arithmetic of a worker's tiles, compiled once for each set of instructions. Every function
 * takes one structure of 64-bit fields, so that one kind of call serves them all.
 */
#include "attention.h"
#include "linear.h"
#include "rows.h"

/* Whether this processor, and its system, have the instructions of this file. */
int32_t flotilla_runs_here(void) {
  __builtin_cpu_init();
#if LANES == 16
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("f16c");
#else
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
#endif
}
