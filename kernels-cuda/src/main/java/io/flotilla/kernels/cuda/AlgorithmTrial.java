package io.flotilla.kernels.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.LongConsumer;

/**
 * Finds the fastest of some algorithms for a product: the first products of a shape, those of the
 * first layers, each take another one, between two events. The weights are then as cold as in use,
 * and nothing is computed for the trial's sake. The stream is kept busy while the host sends the
 * three, which takes longer than a small product.
 */
final class AlgorithmTrial {
  /** Algorithms worth a try: they and their rounds fit the layers of small models. */
  static final int MOST_CANDIDATES = 12;

  static final int ROUNDS = 2;

  private final Driver driver;
  private final LongConsumer delay;
  private final MemorySegment candidates;
  private final int count;
  private final long bytes;
  private final long[] starts;
  private final long[] ends;
  private final boolean[] refused;
  private int next;
  private int best;

  /** A product by an algorithm; returns cuBLAS's status. */
  interface Product {
    int run(MemorySegment algorithm);
  }

  /**
   * @param delay keeps a stream busy for longer than the host takes to send a product
   * @param candidates the likeliest first
   * @param bytes of each
   */
  AlgorithmTrial(
      Driver driver, LongConsumer delay, MemorySegment candidates, int count, long bytes) {
    this.driver = driver;
    this.delay = delay;
    this.candidates = candidates;
    this.count = count;
    this.bytes = bytes;
    this.starts = new long[count == 1 ? 0 : count * ROUNDS];
    this.ends = new long[starts.length];
    this.refused = new boolean[count];
  }

  /** Computes a product, by the fastest algorithm or by one that is on trial. */
  int run(long stream, Product product) {
    if (next == starts.length || driver.isCapturing(stream)) {
      return product.run(algorithm(best));
    }
    int candidate = next % count;
    starts[next] = driver.createTimedEvent();
    ends[next] = driver.createTimedEvent();
    delay.accept(stream);
    driver.recordEvent(starts[next], stream);
    int status = product.run(algorithm(candidate));
    if (status != 0) {
      refused[candidate] = true;
      status = product.run(algorithm(best));
    }
    driver.recordEvent(ends[next], stream);
    next++;
    if (next == starts.length) {
      decide();
    }
    return status;
  }

  private MemorySegment algorithm(int candidate) {
    return candidates.asSlice(candidate * bytes, bytes);
  }

  private void decide() {
    driver.awaitEvent(ends[next - 1]);
    float[] times = new float[count];
    Arrays.fill(times, Float.POSITIVE_INFINITY);
    for (int i = 0; i < next; i++) {
      float time = driver.milliseconds(starts[i], ends[i]);
      int candidate = i % count;
      times[candidate] = refused[candidate] ? times[candidate] : Math.min(times[candidate], time);
      driver.destroyEvent(starts[i]);
      driver.destroyEvent(ends[i]);
    }
    for (int candidate = 0; candidate < count; candidate++) {
      best = times[candidate] < times[best] ? candidate : best;
    }
  }
}
