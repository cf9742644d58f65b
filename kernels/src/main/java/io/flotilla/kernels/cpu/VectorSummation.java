package io.flotilla.kernels.cpu;

import jdk.incubator.vector.FloatVector;

/** {@link Summation} on vectors, several of them at a time. */
final class VectorSummation {
  private static final long STEP = 4L * Lanes.BYTES;

  private VectorSummation() {}

  /** See {@link Summation#sum}. */
  static void sum(long[] from, long[] to, long offset, long count) {
    long end = offset + 4 * count;
    long whole = offset + 4 * count / STEP * STEP;
    if (from.length == 2 && to.length == 2) {
      pair(from[0], from[1], to[0], to[1], offset, whole);
    } else {
      several(from, to, offset, whole);
    }
    for (long at = whole; at < end; at += 4) {
      float sum = Lanes.getFloat(from[0] + at);
      for (int i = 1; i < from.length; i++) {
        sum += Lanes.getFloat(from[i] + at);
      }
      for (long target : to) {
        Lanes.setFloat(target + at, sum);
      }
    }
  }

  private static void pair(long a, long b, long c, long d, long start, long end) {
    for (long at = start; at < end; at += Lanes.BYTES) {
      FloatVector sum = Lanes.load(a + at).add(Lanes.load(b + at));
      Lanes.store(sum, c + at);
      Lanes.store(sum, d + at);
    }
  }

  private static void several(long[] from, long[] to, long start, long end) {
    for (long at = start; at < end; at += STEP) {
      FloatVector a = Lanes.load(from[0] + at);
      FloatVector b = Lanes.load(from[0] + at + Lanes.BYTES);
      FloatVector c = Lanes.load(from[0] + at + 2L * Lanes.BYTES);
      FloatVector d = Lanes.load(from[0] + at + 3L * Lanes.BYTES);
      for (int i = 1; i < from.length; i++) {
        long source = from[i] + at;
        a = a.add(Lanes.load(source));
        b = b.add(Lanes.load(source + Lanes.BYTES));
        c = c.add(Lanes.load(source + 2L * Lanes.BYTES));
        d = d.add(Lanes.load(source + 3L * Lanes.BYTES));
      }
      for (long target : to) {
        VectorLinear.storeFour(a, b, c, d, target + at);
      }
    }
  }
}
