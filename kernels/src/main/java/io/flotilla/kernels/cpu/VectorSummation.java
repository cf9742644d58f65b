package io.flotilla.kernels.cpu;

import jdk.incubator.vector.FloatVector;

/**
 * {@link Summation} on vectors: two ranks at once, more of them one after another in pieces that
 * stay in the first-level cache.
 */
final class VectorSummation {
  private static final long PIECE = 4 << 10;

  private VectorSummation() {}

  /** See {@link Summation#sum}. */
  static void sum(long[] from, long[] to, long offset, long count) {
    long end = offset + 4 * count;
    if (from.length == 2) {
      add(from[0], from[1], to[0], to[to.length - 1], offset, end);
      return;
    }
    for (long start = offset; start < end; start += PIECE) {
      long next = Math.min(start + PIECE, end);
      add(from[0], from[1], to[0], to[0], start, next);
      for (int i = 2; i < from.length; i++) {
        add(to[0], from[i], to[0], to[0], start, next);
      }
      for (int i = 1; i < to.length; i++) {
        NativeMemory.copy(to[0] + start, to[i] + start, next - start);
      }
    }
  }

  /** {@code c[i] = d[i] = a[i] + b[i]} for the bytes from {@code start} to {@code end}. */
  private static void add(long a, long b, long c, long d, long start, long end) {
    long whole = start + (end - start) / Lanes.BYTES * Lanes.BYTES;
    for (long at = start; at < whole; at += Lanes.BYTES) {
      FloatVector sum = Lanes.load(a + at).add(Lanes.load(b + at));
      Lanes.store(sum, c + at);
      Lanes.store(sum, d + at);
    }
    for (long at = whole; at < end; at += 4) {
      float sum = NativeMemory.getFloat(a + at) + NativeMemory.getFloat(b + at);
      NativeMemory.setFloat(c + at, sum);
      NativeMemory.setFloat(d + at, sum);
    }
  }
}
