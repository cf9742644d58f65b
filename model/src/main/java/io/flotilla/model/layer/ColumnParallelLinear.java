package io.flotilla.model.layer;

import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
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
   */
  public record Part(String name, int outputs) {}

  /**
   * @param bias whether every part has a bias
   * @throws io.flotilla.checkpoint.CheckpointException when a tensor is missing or misshapen
   */
  public ColumnParallelLinear(ShardLoader loader, int inputs, boolean bias, List<Part> parts) {
    this.ops = loader.device().ops();
    List<Tensor> loadedWeights =
        loader.rowShards(
            parts.stream().map(part -> part.name + ".weight").toList(),
            parts.stream().map(Part::outputs).toList(),
            inputs);
    List<Tensor> loadedBiases = new ArrayList<>();
    if (bias) {
      for (Part part : parts) {
        loadedBiases.add(loader.vectorShard(part.name + ".bias", part.outputs));
      }
    }
    this.weights = List.copyOf(loadedWeights);
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
