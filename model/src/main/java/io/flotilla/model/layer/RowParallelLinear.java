package io.flotilla.model.layer;

import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A linear map split over ranks by input: each rank multiplies its columns of the matrix with its
 * part of the input, and the whole output is the sum over ranks, which every rank gets. The bias is
 * the first rank's.
 */
public final class RowParallelLinear {
  private final Ops ops;
  private final Collectives collectives;
  private final List<Tensor> weights;
  private final @Nullable List<Tensor> biases;

  /**
   * @param name of {@code name.weight} ({@code [outputs, inputs]}) and, with a bias, {@code
   *     name.bias}
   * @param inputs over all ranks
   * @throws IllegalArgumentException when the inputs cannot be shared between the ranks, or the
   *     loader does not join as many
   * @throws io.flotilla.checkpoint.CheckpointException when a tensor is missing or misshapen
   */
  public RowParallelLinear(ShardLoader loader, String name, int inputs, int outputs, boolean bias) {
    if (loader.collectives().size() != loader.parallel().size()) {
      throw new IllegalArgumentException(
          "one of %d ranks has %d to sum its part of %s with"
              .formatted(loader.parallel().size(), loader.collectives().size() - 1, name));
    }
    this.ops = loader.device().ops();
    this.collectives = loader.collectives();
    this.weights = List.of(loader.columnShard(name + ".weight", outputs, inputs));
    boolean adds = bias && loader.parallel().rank() == 0;
    this.biases = adds ? List.of(loader.vector(name + ".bias", outputs)) : null;
  }

  /** {@code out[r] = W x[r] + b}: {@code [rows, inputs]} to {@code [rows, outputs]}. */
  public void apply(Stream stream, Tensor x, Tensor out) {
    ops.linear(stream, x, weights, biases, out);
    collectives.allReduce(stream, out);
  }
}
