package io.flotilla.bench;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * When requests are sent. Intervals follow a gamma distribution whose shape is the burstiness: 1 is
 * a Poisson process, less is burstier, infinity is even. As in vLLM, they are scaled so that the
 * last request is sent at exactly {@code count / rate}.
 */
final class ArrivalTimes {
  private ArrivalTimes() {}

  /**
   * @param rate requests a second; infinite sends all at once
   * @return seconds from the start, ascending
   */
  static double[] of(int count, double rate, double burstiness, long seed) {
    double[] times = new double[count];
    if (Double.isInfinite(rate)) {
      return times;
    }
    SplittableRandom random = new SplittableRandom(seed);
    double moment = 0;
    for (int i = 0; i < count; i++) {
      moment += Double.isInfinite(burstiness) ? 1 : gamma(random, burstiness);
      times[i] = moment;
    }
    double scale = count / rate / moment;
    return Arrays.stream(times).map(time -> time * scale).toArray();
  }

  /** Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). */
  private static double gamma(SplittableRandom random, double shape) {
    if (shape < 1) {
      return gamma(random, shape + 1) * Math.pow(random.nextDouble(), 1 / shape);
    }
    double d = shape - 1.0 / 3;
    double c = 1 / Math.sqrt(9 * d);
    while (true) {
      double x = random.nextGaussian();
      double v = Math.pow(1 + c * x, 3);
      if (v > 0 && Math.log(random.nextDouble()) < 0.5 * x * x + d - d * v + d * Math.log(v)) {
        return d * v;
      }
    }
  }
}
