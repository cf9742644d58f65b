package io.flotilla.executor;

/** Experts that are chosen by lot, all sets of equally many alike. */
final class ExpertLot {
  private ExpertLot() {}

  /**
   * The chance that a token has an expert among some of them.
   *
   * @param some of the experts
   */
  static double reach(int experts, int some, int perToken) {
    double none = 1;
    for (int i = 0; i < perToken; i++) {
      none *= Math.max(0, experts - some - i) / (double) (experts - i);
    }
    return 1 - none;
  }

  /**
   * How many of the chosen experts the rank has that has most of them, in the mean.
   *
   * @param ranks with equally many of the experts
   * @param chosen experts; between two numbers, the mean of theirs by distance
   */
  static double mostOnOneRank(int experts, int ranks, double chosen) {
    int below = (int) chosen;
    double most = mostOnOneRank(experts, ranks, below);
    return below == chosen
        ? most
        : most + (chosen - below) * (mostOnOneRank(experts, ranks, below + 1) - most);
  }

  /** The sum of the chances that some rank has more than 0, 1, 2 ... of them. */
  private static double mostOnOneRank(int experts, int ranks, int chosen) {
    if (ranks == 1) {
      return chosen;
    }
    int each = experts / ranks;
    double mean = 0;
    for (int most = 0; most < Math.min(each, chosen); most++) {
      mean += 1 - chanceOfAtMost(most, each, ranks, chosen);
    }
    return mean;
  }

  /**
   * Deals the chosen experts to one rank after another: of those that are left, a rank gets some
   * with the chance of a draw without putting back.
   */
  private static double chanceOfAtMost(int most, int each, int ranks, int chosen) {
    double[] logFactorials = logFactorials(each * ranks);
    double[] left = new double[chosen + 1];
    left[chosen] = 1;
    for (int others = ranks - 1; others >= 0; others--) {
      double[] next = new double[chosen + 1];
      for (int before = 0; before <= chosen; before++) {
        for (int here = 0; left[before] > 0 && here <= Math.min(most, before); here++) {
          double draw =
              logChoices(logFactorials, each, here)
                  + logChoices(logFactorials, others * each, before - here)
                  - logChoices(logFactorials, (others + 1) * each, before);
          next[before - here] += left[before] * Math.exp(draw);
        }
      }
      left = next;
    }
    return left[0];
  }

  private static double logChoices(double[] logFactorials, int of, int some) {
    return some > of
        ? Double.NEGATIVE_INFINITY
        : logFactorials[of] - logFactorials[some] - logFactorials[of - some];
  }

  private static double[] logFactorials(int most) {
    double[] logs = new double[most + 1];
    for (int i = 1; i <= most; i++) {
      logs[i] = logs[i - 1] + Math.log(i);
    }
    return logs;
  }
}
