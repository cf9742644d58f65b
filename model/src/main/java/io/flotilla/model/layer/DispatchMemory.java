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
  /** Rows begin at multiples of it. */
  private static final int ALIGNMENT = 16;

  private final TensorType type;
  private final int hidden;
  private final int experts;
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
    this.type = device.activationType();
    this.hidden = hidden;
    this.experts = experts;
    int choices = Math.multiplyExact(ranks + 1, rows);
    this.chosen = Tensor.allocate(device, TensorType.I32, 1, choices);
    this.counts = Tensor.allocate(device, TensorType.I32, 1, ranks);
    this.allCounts = device.allocate(TensorType.I32.bytes((long) ranks * ranks));
    this.given = device.allocate(copies * routedBytes() * rows);
    this.taken = device.allocate(routedBytes() * rows);
    this.results = device.allocate(type.bytes((long) rows * hidden));
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

  /**
   * Rows with their routers' logits behind them.
   *
   * @param memory of all of it
   * @param x {@code [rows, hidden]}
   * @param router F32 {@code [rows, experts]}
   */
  record Routed(Buffer memory, Tensor x, Tensor router) {}

  /** Bytes of a routed row. */
  long routedBytes() {
    return xBytes() + aligned(TensorType.F32.bytes(experts));
  }

  private long xBytes() {
    return aligned(type.bytes(hidden));
  }

  private static long aligned(long bytes) {
    return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
  }

  private Routed routed(Buffer buffer, int rows) {
    Buffer memory = buffer.slice(0, rows * routedBytes());
    Buffer logits = memory.slice(rows == 0 ? 0 : xBytes(), Math.max(0, memory.bytes() - xBytes()));
    return new Routed(
        memory,
        columns(memory, type, rows, hidden),
        columns(logits, TensorType.F32, rows, experts));
  }

  private Tensor columns(Buffer memory, TensorType of, int rows, int columns) {
    return new Tensor(memory, of, rows, columns, (int) (routedBytes() / of.bytes(1)));
  }

  /** What leaves this rank. */
  Routed given(int rows) {
    return routed(given, rows);
  }

  /** What comes to this rank. */
  Routed taken(int rows) {
    return routed(taken, rows);
  }

  /** What this rank makes of what came, {@code [rows, hidden]}. */
  Tensor results(int rows) {
    return Tensor.of(results, type, rows, hidden);
  }

  /** What others made of what left, {@code [rows, hidden]}: where it was. */
  Tensor returned(int rows) {
    return Tensor.of(given, type, rows, hidden);
  }
}
