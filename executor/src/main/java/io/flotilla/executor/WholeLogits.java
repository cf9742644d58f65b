package io.flotilla.executor;

import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.model.CausalLm;
import io.flotilla.model.StageInput.Activations;
import org.jspecify.annotations.Nullable;

/**
 * Logits of the whole vocabulary on every rank of a stage, each of which computes a part of them.
 */
final class WholeLogits {
  private final CausalLm model;
  private final Collectives ranks;
  private final Stream stream;
  private final int rows;
  private final @Nullable Tensor whole;

  /**
   * @param ranks of the stage
   * @param rows whose logits are held at once
   */
  WholeLogits(CausalLm model, Collectives ranks, Device device, Stream stream, int rows) {
    this.model = model;
    this.ranks = ranks;
    this.stream = stream;
    this.rows = rows;
    this.whole =
        ranks.size() == 1
            ? null
            : Tensor.allocate(device, TensorType.F32, rows, model.vocabularySize());
  }

  /** Bytes on the device. */
  long bytes() {
    return whole == null ? 0 : whole.buffer().bytes();
  }

  /** Rows whose logits are held at once. */
  int rows() {
    return rows;
  }

  /**
   * The logits of chosen rows, the same on every rank.
   *
   * @param chosen I32 {@code [1, n]}, indices of rows of {@code activations}, n at most {@link
   *     #rows}
   * @return F32 {@code [n, vocabulary]}, the same memory at every call
   */
  Tensor compute(Activations activations, Tensor chosen) {
    Tensor part = model.logits(stream, activations, chosen);
    if (whole == null) {
      return part;
    }
    Tensor all = whole.sliceRows(0, chosen.columns());
    ranks.gatherColumns(stream, part, all, model.vocabularyShare().first());
    return all;
  }
}
