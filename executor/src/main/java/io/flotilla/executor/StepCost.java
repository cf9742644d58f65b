package io.flotilla.executor;

/**
 * What a step costs one rank.
 *
 * @param weightBytes of weights read; of experts those that tokens choose by lot, on the rank that
 *     has most of them
 * @param multiplyAdds in products with weights
 * @param reducedBytes sent to other ranks of the stage: by an all-reduce of B bytes over n ranks 2
 *     (n - 1) / n B
 * @param passedBytes sent to other stages
 */
public record StepCost(long weightBytes, long multiplyAdds, long reducedBytes, long passedBytes) {
  /** Bytes sent to any rank. */
  public long sentBytes() {
    return reducedBytes + passedBytes;
  }
}
