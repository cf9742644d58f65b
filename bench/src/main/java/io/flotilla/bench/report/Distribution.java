package io.flotilla.bench.report;

import java.util.Arrays;
import java.util.stream.DoubleStream;

/**
 * Figures of a set of values, as NumPy computes them: population standard deviation, linear
 * interpolation between ranks. All zero when there are no values.
 */
public final class Distribution {
  private final double[] sorted;

  /**
   * @param values in any order
   */
  public Distribution(DoubleStream values) {
    double[] taken = values.sorted().toArray();
    this.sorted = taken.length == 0 ? new double[1] : taken;
  }

  public double mean() {
    return Arrays.stream(sorted).sum() / sorted.length;
  }

  public double standardDeviation() {
    double mean = mean();
    double squares = Arrays.stream(sorted).map(value -> (value - mean) * (value - mean)).sum();
    return Math.sqrt(squares / sorted.length);
  }

  public double median() {
    return percentile(50);
  }

  /**
   * @param percent 0 to 100
   */
  public double percentile(double percent) {
    double rank = percent / 100 * (sorted.length - 1);
    int below = (int) Math.floor(rank);
    int above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (rank - below) * (sorted[above] - sorted[below]);
  }
}
