package io.flotilla.model.layer;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import org.jspecify.annotations.Nullable;

/**
 * The activations of one step of one rank, allocated once for the largest step and shared by all
 * layers, which run one after another.
 */
public final class Scratch {
  private final int hiddenSize;
  private final Buffer residual;
  private final Buffer normed;
  private final Buffer delta;
  private final Buffer projected;
  private final Buffer mixed;
  private final int experts;
  private final TensorType type;
  private final Buffer router;
  private final Buffer mixture;
  private final ExchangeMemory exchange;

  /**
   * @param rows of the largest step
   * @param attention this rank's share of the heads
   * @param intermediateSize this rank's share of the MLP or of an expert, whichever is wider
   * @param experts null in a dense model
   * @param expertColumns this rank's share of the columns between the matrices of an expert
   * @param exchange for what ranks exchange
   */
  public Scratch(
      Device device,
      int rows,
      int hiddenSize,
      AttentionShape attention,
      int intermediateSize,
      @Nullable ExpertConfig experts,
      int expertColumns,
      ExchangeMemory exchange) {
    this.type = device.activationType();
    this.hiddenSize = hiddenSize;
    this.exchange = exchange;
    this.experts = experts == null ? 0 : experts.count();
    this.router = device.allocate(TensorType.F32.bytes((long) rows * this.experts));
    this.mixture =
        device.allocate(
            experts == null
                ? 0
                : device.mixtureBytes(
                    rows, hiddenSize, expertColumns, experts.count(), experts.perToken()));
    this.residual = device.allocate(TensorType.F32.bytes((long) rows * hiddenSize));
    this.normed = device.allocate(bytes(rows, hiddenSize));
    this.delta = device.allocate(bytes(rows, hiddenSize));
    this.projected =
        device.allocate(bytes(rows, Math.max(attention.qkvColumns(), 2 * intermediateSize)));
    this.mixed = device.allocate(bytes(rows, Math.max(attention.queryColumns(), intermediateSize)));
  }

  /** Bytes allocated. */
  public long bytes() {
    return residual.bytes()
        + normed.bytes()
        + delta.bytes()
        + projected.bytes()
        + mixed.bytes()
        + router.bytes()
        + mixture.bytes()
        + exchange.bytes();
  }

  /** What ranks exchange inside a layer. */
  ExchangeMemory exchange() {
    return exchange;
  }

  /** The stream of activations that layers add to, F32 {@code [rows, hiddenSize]}. */
  public Tensor residual(int rows) {
    return Tensor.of(residual, TensorType.F32, rows, hiddenSize);
  }

  /** The normalised input of a block, {@code [rows, hiddenSize]}. */
  public Tensor normed(int rows) {
    return view(normed, rows, hiddenSize);
  }

  /** The output of a block, not yet added to the residual, {@code [rows, hiddenSize]}. */
  public Tensor delta(int rows) {
    return view(delta, rows, hiddenSize);
  }

  /** What a block's column-parallel linear yields. */
  Tensor projected(int rows, int columns) {
    return view(projected, rows, columns);
  }

  /** What a block's row-parallel linear takes. */
  Tensor mixed(int rows, int columns) {
    return view(mixed, rows, columns);
  }

  /** The logits of all experts. */
  Tensor router(int rows) {
    return Tensor.of(router, TensorType.F32, rows, experts);
  }

  /** What experts are mixed in. */
  Buffer mixture() {
    return mixture;
  }

  private long bytes(int rows, int columns) {
    return type.bytes((long) rows * columns);
  }

  private Tensor view(Buffer buffer, int rows, int columns) {
    return Tensor.of(buffer, type, rows, columns);
  }
}
