package io.flotilla.model.layer;

import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.ShardLoader.Rows;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One or several linear maps of the same input, split over ranks by output. The stored matrices are
 * used where they lie; their outputs follow each other in a row, as {@code [queries | keys |
 * values]} or {@code [gate | up]}.
 */
public final class ColumnParallelLinear {
  private final Ops ops;
  private final List<Tensor> weights;
  private final @Nullable List<Tensor> biases;
  private final int outputs;

  /**
   * A stored linear map, {@code name.weight} of {@code [outputs, inputs]} and, with a bias, {@code
   * name.bias} of {@code [outputs]}.
   *
   * @param outputs over all ranks
   * @param share this rank's outputs; null for an even share
   */
  public record Part(String name, int outputs, @Nullable Share share) {
    /** A part whose outputs are shared evenly. */
    public Part(String name, int outputs) {
      this(name, outputs, null);
    }

    private Share share(TensorParallel parallel) {
      if (share != null) {
        return share;
      }
      int count = parallel.share(outputs, "rows of " + name);
      return new Share(parallel.rank() * count, count);
    }
  }

  /**
   * @param bias whether every part has a bias
   * @throws io.flotilla.checkpoint.CheckpointException when a tensor is missing or misshapen
   */
  public ColumnParallelLinear(ShardLoader loader, int inputs, boolean bias, List<Part> parts) {
    this.ops = loader.device().ops();
    List<Rows> matrices = new ArrayList<>();
    List<Tensor> loadedBiases = new ArrayList<>();
    for (Part part : parts) {
      Share share = part.share(loader.parallel());
      matrices.add(new Rows(part.name + ".weight", part.outputs, share));
      if (bias) {
        loadedBiases.add(loader.elements(part.name + ".bias", part.outputs, share));
      }
    }
    this.weights = loader.rows(inputs, matrices);
    this.biases = bias ? List.copyOf(loadedBiases) : null;
    this.outputs = weights.stream().mapToInt(Tensor::rows).sum();
  }

  /** Columns of a row of this rank's output. */
  public int outputs() {
    return outputs;
  }

  /**
   * {@code out[r] = concat_i(W_i x[r] + b_i)}: {@code [rows, inputs]} to {@code [rows, outputs]}.
   */
  public void apply(Stream stream, Tensor x, Tensor out) {
    ops.linear(stream, x, weights, biases, out);
  }
}
