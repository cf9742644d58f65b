package io.flotilla.kernels.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;

/**
 * Finds the fastest of some algorithms for a product: the first products of a shape, those of the
 * first layers, each take another one, between two events; the fastest few are then compared more
 * closely, as what differs by a tenth is within one product's noise. The weights are as cold as in
 * use, and nothing is computed for the trial's sake. The stream is kept busy while the host sends
 * the three, which takes longer than a small product.
 */
final class AlgorithmTrial {
  /** Algorithms worth a try: with the finalists' rounds they fit the layers of two steps. */
  static final int MOST_CANDIDATES = 12;

  static final int ROUNDS = 3; // In the first of which kernels are loaded.
  private static final int FINALISTS = 4;
  static final int FINAL_ROUNDS = 6;

  private final Driver driver;
  private final LongConsumer delay;
  private final MemorySegment candidates;
  private final long bytes;
  private final float[] times;
  private final boolean[] refused;
  private final List<Timed> timed = new ArrayList<>();
  private List<Integer> running;
  private int rounds = ROUNDS;
  private int best;
  private boolean decided;

  /** A product by an algorithm; returns cuBLAS's status. */
  interface Product {
    int run(MemorySegment algorithm);
  }

  private record Timed(int candidate, long start, long end) {}

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
    this.bytes = bytes;
    this.times = new float[count];
    this.refused = new boolean[count];
    this.running = IntStream.range(0, count).boxed().toList();
    this.decided = count == 1;
  }

  /** Computes a product, by the fastest algorithm or by one that is on trial. */
  int run(long stream, Product product) {
    if (decided || driver.isCapturing(stream)) {
      return product.run(algorithm(best));
    }
    int candidate = running.get(timed.size() % running.size());
    Timed next = new Timed(candidate, driver.createTimedEvent(), driver.createTimedEvent());
    delay.accept(stream);
    driver.recordEvent(next.start, stream);
    int status = product.run(algorithm(candidate));
    if (status != 0) {
      refused[candidate] = true;
      status = product.run(algorithm(best));
    }
    driver.recordEvent(next.end, stream);
    timed.add(next);
    if (timed.size() == rounds * running.size()) {
      endRounds();
    }
    return status;
  }

  private MemorySegment algorithm(int candidate) {
    return candidates.asSlice(candidate * bytes, bytes);
  }

  /** Takes the least time of each; the fastest few go on, and of those the fastest is chosen. */
  private void endRounds() {
    driver.awaitEvent(timed.getLast().end);
    Arrays.fill(times, Float.POSITIVE_INFINITY);
    for (Timed each : timed) {
      float time = driver.milliseconds(each.start, each.end);
      times[each.candidate] = Math.min(times[each.candidate], time);
      driver.destroyEvent(each.start);
      driver.destroyEvent(each.end);
    }
    running =
        running.stream()
            .filter(candidate -> !refused[candidate])
            .sorted(Comparator.comparingDouble(candidate -> times[candidate]))
            .limit(FINALISTS)
            .toList();
    best = running.isEmpty() ? best : running.getFirst();
    decided = rounds == FINAL_ROUNDS || running.size() <= 1;
    rounds = FINAL_ROUNDS;
    timed.clear();
  }
}
