package io.flotilla.model.layer;

import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.ColumnParallelLinear.Part;
import java.util.List;

/**
 * {@code down(silu(gate x) * up x)} (SwiGLU, arXiv 2002.05202). Its tensors are {@code gate_proj},
 * {@code up_proj} and {@code down_proj}.
 */
public final class GatedMlp implements FeedForward {
  private final Ops ops;
  private final ColumnParallelLinear gateUp;
  private final RowParallelLinear down;

  /**
   * @param name the prefix of its tensors, such as {@code model.layers.0.mlp}
   * @param bias whether each of the three has a bias
   * @throws io.flotilla.checkpoint.CheckpointException when a tensor is missing or misshapen
   */
  public GatedMlp(
      ShardLoader loader, String name, int hiddenSize, int intermediateSize, boolean bias) {
    this.ops = loader.device().ops();
    this.gateUp =
        new ColumnParallelLinear(
            loader,
            hiddenSize,
            bias,
            List.of(
                new Part(name + ".gate_proj", intermediateSize),
                new Part(name + ".up_proj", intermediateSize)));
    this.down =
        new RowParallelLinear(loader, name + ".down_proj", intermediateSize, hiddenSize, bias);
  }

  @Override
  public void apply(Stream stream, Tensor x, Scratch scratch, Tensor out) {
    Tensor projected = scratch.projected(x.rows(), gateUp.outputs());
    gateUp.apply(stream, x, projected);
    Tensor mixed = scratch.mixed(x.rows(), gateUp.outputs() / 2);
    ops.siluMultiply(stream, projected, mixed);
    down.apply(stream, mixed, out);
  }
}
