package io.flotilla.model.layer;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What the ranks of a stage exchange inside a layer: allocated once for the largest step and shared
 * by all layers. Where ranks do not exchange something, it has no memory.
 */
public final class ExchangeMemory {
  private final TensorType type;
  private final Buffer packed;
  private final Buffer gathered;
  private final Buffer computed;
  private final Buffer received;
  private final @Nullable DispatchMemory dispatch;

  private ExchangeMemory(
      Device device,
      StageRanks ranks,
      AttentionShape attention,
      int rows,
      @Nullable DispatchMemory dispatch) {
    this.type = device.activationType();
    this.dispatch = dispatch;
    long keyRows = ranks.keys().size() == 1 ? 0 : rows;
    long contextRows = ranks.context().size() == 1 ? 0 : rows;
    long keyParts = keyRows * ranks.keys().size();
    long queries = attention.queryColumns();
    long keysValues = attention.keyValueColumns();
    this.packed =
        device.allocate(type.bytes(Math.max(keyRows * queries, contextRows * keysValues)));
    this.gathered =
        device.allocate(
            type.bytes(
                Math.max(keyParts * queries, contextRows * ranks.context().size() * keysValues)));
    long parts = keyParts * SpreadAttention.partColumns(attention);
    this.computed = device.allocate(TensorType.F32.bytes(parts));
    this.received = device.allocate(TensorType.F32.bytes(parts));
  }

  /**
   * The memory of a rank.
   *
   * @param attention this rank's share of the heads
   * @param rows of the largest step
   */
  public static ExchangeMemory of(
      ShardLoader loader, ModelConfig config, AttentionShape attention, int rows) {
    DispatchMemory dispatch = DispatchMemory.of(loader, rows, config);
    return new ExchangeMemory(loader.device(), loader.ranks(), attention, rows, dispatch);
  }

  /** Bytes allocated. */
  long bytes() {
    return packed.bytes()
        + gathered.bytes()
        + computed.bytes()
        + received.bytes()
        + (dispatch == null ? 0 : dispatch.bytes());
  }

  /** What is sent to the ranks of experts, where it is. */
  DispatchMemory dispatch() {
    return Objects.requireNonNull(dispatch);
  }

  /** What this rank gives to all, without gaps between rows. */
  Tensor packed(int rows, int columns) {
    return Tensor.of(packed, type, rows, columns);
  }

  /** What all ranks gave. */
  Tensor gathered(int rows, int columns) {
    return Tensor.of(gathered, type, rows, columns);
  }

  /** What this rank computed for each. */
  Tensor computed(int rows, int columns) {
    return Tensor.of(computed, TensorType.F32, rows, columns);
  }

  /** What each rank computed for this one. */
  Tensor received(int rows, int columns) {
    return Tensor.of(received, TensorType.F32, rows, columns);
  }
}
