package io.flotilla.generation;

import io.flotilla.checkpoint.RandomTensor;
import io.flotilla.checkpoint.StoredTensor;
import io.flotilla.checkpoint.WeightSource;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** Weights that say how many of them were asked for. */
final class ReportedWeights implements WeightSource {
  private final WeightSource weights;
  private final LoadListener listener;
  private final long total;
  private final AtomicLong loaded = new AtomicLong();

  ReportedWeights(WeightSource weights, LoadListener listener) {
    this.weights = weights;
    this.listener = listener;
    this.total = weights.totalBytes();
  }

  @Override
  public boolean has(String name) {
    return weights.has(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    StoredTensor tensor = weights.tensor(name, shape);
    report(tensor.data().byteSize());
    return tensor;
  }

  @Override
  public Optional<RandomTensor> random(String name, long... shape) {
    Optional<RandomTensor> random = weights.random(name, shape);
    random.ifPresent(_ -> report(2 * Arrays.stream(shape).reduce(1, Math::multiplyExact)));
    return random;
  }

  private void report(long bytes) {
    // A tied tensor may be asked for twice.
    listener.onWeights(Math.min(total, loaded.addAndGet(bytes)), total);
  }

  @Override
  public long totalBytes() {
    return total;
  }

  @Override
  public void close() {
    weights.close();
  }
}
