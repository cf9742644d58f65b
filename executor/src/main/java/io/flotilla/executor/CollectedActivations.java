package io.flotilla.executor;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.model.StageInput.Activations;
import java.lang.foreign.Arena;

/**
 * Names the rows that need logits, and brings them to every rank of those that share out a step's
 * rows, so that all can compute logits together.
 */
final class CollectedActivations {
  private final Collectives context;
  private final RowSplit split;
  private final Ops ops;
  private final Stream stream;
  private final int hiddenSize;
  private final TensorType type;
  private final StagedIntegers mine;
  private final StagedIntegers order;
  private final Buffer given;
  private final Buffer residuals;
  private final Buffer deltas;

  /**
   * @param context the ranks that share out a step's rows
   * @param rows that are collected at once
   */
  CollectedActivations(
      Collectives context,
      RowSplit split,
      Device device,
      Stream stream,
      Arena arena,
      int rows,
      int hiddenSize) {
    this.context = context;
    this.split = split;
    this.ops = device.ops();
    this.stream = stream;
    this.hiddenSize = hiddenSize;
    this.type = device.activationType();
    int shared = context.size() == 1 ? 0 : rows;
    this.mine = new StagedIntegers(device, arena, shared);
    this.order = new StagedIntegers(device, arena, rows);
    long elements = (long) shared * hiddenSize;
    this.given = device.allocate(TensorType.F32.bytes(elements));
    this.residuals = device.allocate(TensorType.F32.bytes(context.size() * elements));
    this.deltas = device.allocate(type.bytes(context.size() * elements));
  }

  /** Bytes on host and device. */
  long bytes() {
    return mine.bytes() + order.bytes() + given.bytes() + residuals.bytes() + deltas.bytes();
  }

  /**
   * What every rank has of some rows.
   *
   * @param rows I32 {@code [1, n]}, in their order, indices of rows of {@code activations}
   */
  record Collected(Activations activations, Tensor rows) {}

  /**
   * @param activations of this rank's rows
   * @param chosen numbers of rows in the step
   */
  Collected collect(Activations activations, int[] chosen) {
    if (context.size() == 1) {
      order.set(0, chosen, chosen.length);
      return new Collected(activations, order.upload(stream, 1, chosen.length));
    }
    int[] counts = new int[context.size()];
    int[] places = new int[chosen.length];
    for (int i = 0; i < places.length; i++) {
      int owner = split.owner(chosen[i]);
      if (owner == context.rank()) {
        mine.set(counts[owner], split.place(chosen[i]));
      }
      places[i] = counts[owner]++;
    }
    int each = 0;
    for (int count : counts) {
      each = Math.max(each, count);
    }
    for (int i = 0; i < places.length; i++) {
      order.set(i, split.owner(chosen[i]) * each + places[i]);
    }
    Tensor rows = mine.upload(stream, 1, counts[context.rank()]);
    Tensor residual = gather(activations.residual(), rows, each, TensorType.F32, residuals);
    Tensor delta = gather(activations.delta(), rows, each, type, deltas);
    return new Collected(new Activations(residual, delta), order.upload(stream, 1, places.length));
  }

  private Tensor gather(Tensor from, Tensor rows, int each, TensorType of, Buffer to) {
    Tensor part = Tensor.of(given, of, each, hiddenSize);
    ops.gatherRows(stream, from, rows, part.sliceRows(0, rows.columns()));
    Tensor all = Tensor.of(to, of, context.size() * each, hiddenSize);
    context.allGather(stream, part.memory(), all.memory());
    return all;
  }
}
