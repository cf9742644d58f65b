package io.flotilla.bench;

/**
 * How requests arrive.
 *
 * @param requestRate a second; infinite sends all at once
 * @param burstiness shape of the intervals; 1 is a Poisson process
 * @param maxConcurrency requests under way at once, or 0 for no bound
 * @param warmups requests sent before, not counted
 * @param seed of the intervals
 */
public record Load(
    double requestRate, double burstiness, int maxConcurrency, int warmups, long seed) {
  /**
   * @throws IllegalArgumentException naming the value that makes no sense
   */
  public Load {
    if (!(requestRate > 0)) {
      throw new IllegalArgumentException(
          "--request-rate is " + requestRate + "; it must be above 0");
    }
    if (!(burstiness > 0)) {
      throw new IllegalArgumentException("--burstiness is " + burstiness + "; it must be above 0");
    }
    if (maxConcurrency < 0 || warmups < 0) {
      throw new IllegalArgumentException("--max-concurrency and --num-warmups are 0 or more");
    }
  }
}
