package io.flotilla.kernels.cpu;

import java.lang.foreign.MemorySegment;

/** Adds up floats that lie at several addresses, in the order of the addresses. */
@FunctionalInterface
interface Summation {
  /**
   * {@code to[j][i] = from[0][i] + from[1][i] + ...} for every target {@code j}. The first target
   * may be the first source; the others may be sources where as many are targets.
   *
   * @param from addresses, at least two
   * @param offset bytes to add to each address
   * @param count of floats
   */
  void sum(long[] from, long[] to, long offset, long count);

  /** One float after another, for where there are no vectors. */
  static void scalar(long[] from, long[] to, long offset, long count) {
    MemorySegment all = NativeMemory.ALL;
    for (long at = offset; at < offset + 4 * count; at += 4) {
      float sum = all.get(NativeMemory.FLOAT, from[0] + at);
      for (int i = 1; i < from.length; i++) {
        sum += all.get(NativeMemory.FLOAT, from[i] + at);
      }
      for (long target : to) {
        all.set(NativeMemory.FLOAT, target + at, sum);
      }
    }
  }
}
