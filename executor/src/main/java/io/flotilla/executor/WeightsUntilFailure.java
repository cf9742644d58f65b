package io.flotilla.executor;

import io.flotilla.checkpoint.RandomTensor;
import io.flotilla.checkpoint.StoredTensor;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.CollectiveAbortedException;
import java.util.Optional;

/** Weights for the ranks of a replica, which load no more of them once one has failed. */
final class WeightsUntilFailure implements WeightSource {
  private final WeightSource weights;
  private final AbortSignal abort;

  /**
   * @param weights stay the caller's to close
   */
  WeightsUntilFailure(WeightSource weights, AbortSignal abort) {
    this.weights = weights;
    this.abort = abort;
  }

  @Override
  public boolean has(String name) {
    return weights.has(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    requireNoFailure();
    return weights.tensor(name, shape);
  }

  @Override
  public Optional<RandomTensor> random(String name, long... shape) {
    requireNoFailure();
    return weights.random(name, shape);
  }

  @Override
  public long totalBytes() {
    return weights.totalBytes();
  }

  @Override
  public void close() {}

  private void requireNoFailure() {
    if (abort.isRaised()) {
      throw new CollectiveAbortedException();
    }
  }
}
