package io.flotilla.model.layer;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import org.jspecify.annotations.Nullable;

/** What {@link ExpertDispatch} sends and receives, for the step with the most rows. */
final class DispatchMemory {
  private final Tensor chosen;
  private final Tensor counts;
  private final Buffer allCounts;
  private final Buffer given;
  private final Buffer taken;
  private final Buffer results;

  /**
   * @param ranks that exchange rows
   * @param rows of a step, all ranks together; a rank may get all of them
   * @param copies of a row that leave a rank at most
   */
  private DispatchMemory(Device device, int ranks, int rows, int copies, int hidden, int experts) {
    this.chosen = Tensor.allocate(device, TensorType.I32, 1, Math.multiplyExact(ranks, rows));
    this.counts = Tensor.allocate(device, TensorType.I32, 1, ranks);
    this.allCounts = device.allocate(TensorType.I32.bytes((long) ranks * ranks));
    long columns = hidden + (long) experts;
    this.given = device.allocate(TensorType.F32.bytes(copies * columns * rows));
    this.taken = device.allocate(TensorType.F32.bytes(rows * columns));
    this.results = device.allocate(TensorType.F32.bytes((long) rows * hidden));
  }

  /** The memory of a rank; null where it sends no rows to the ranks of their experts. */
  static @Nullable DispatchMemory of(ShardLoader loader, int rows, ModelConfig config) {
    int ranks = loader.ranks().context().size();
    ExpertConfig experts = config.experts();
    if (ranks == 1 || experts == null || !loader.isExpertParallel()) {
      return null;
    }
    int copies = Math.min(ranks, experts.perToken());
    return new DispatchMemory(
        loader.device(), ranks, rows, copies, config.hiddenSize(), experts.count());
  }

  /** Bytes allocated. */
  long bytes() {
    return chosen.buffer().bytes()
        + counts.buffer().bytes()
        + allCounts.bytes()
        + given.bytes()
        + taken.bytes()
        + results.bytes();
  }

  /** The rows that go to each rank, I32. */
  Tensor chosen() {
    return chosen;
  }

  /** How many go to each rank, I32. */
  Tensor counts() {
    return counts;
  }

  /** How many go from each rank to each. */
  Buffer allCounts() {
    return allCounts;
  }

  /** What leaves this rank, and what comes back of it. */
  Tensor given(int rows, int columns) {
    return Tensor.of(given, TensorType.F32, rows, columns);
  }

  /** What comes to this rank. */
  Tensor taken(int rows, int columns) {
    return Tensor.of(taken, TensorType.F32, rows, columns);
  }

  /** What this rank makes of it. */
  Tensor results(int rows, int columns) {
    return Tensor.of(results, TensorType.F32, rows, columns);
  }
}
