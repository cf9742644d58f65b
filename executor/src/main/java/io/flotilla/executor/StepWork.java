package io.flotilla.executor;

import io.flotilla.kernels.Tensor;

/** Counts what a rank does in a step. */
final class StepWork {
  private double weightBytes;
  private double multiplyAdds;
  private double reducedBytes;
  private double passedBytes;

  /**
   * A product with a matrix.
   *
   * @param share of it that is read
   * @param rows that are multiplied with it
   */
  void multiply(Tensor matrix, double share, double rows) {
    weightBytes += share * matrix.rows() * matrix.rowBytes();
    multiplyAdds += rows * matrix.rows() * matrix.columns();
  }

  /** Bytes that a rank sends to others of its stage. */
  void reduce(double bytes) {
    reducedBytes += bytes;
  }

  /** Bytes that a rank sends to another stage. */
  void pass(double bytes) {
    passedBytes += bytes;
  }

  /** What was counted since the last call. */
  StepCost take() {
    StepCost cost =
        new StepCost(
            Math.round(weightBytes),
            Math.round(multiplyAdds),
            Math.round(reducedBytes),
            Math.round(passedBytes));
    weightBytes = 0;
    multiplyAdds = 0;
    reducedBytes = 0;
    passedBytes = 0;
    return cost;
  }
}
