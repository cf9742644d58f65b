package io.flotilla.model.layer;

import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;

/** Root-mean-square normalisation (arXiv 1910.07467). Its weights are whole on every rank. */
public final class RmsNorm {
  private final Ops ops;
  private final Tensor weight;
  private final float epsilon;

  /**
   * @param name of the weights, {@code [size]}
   * @throws io.flotilla.checkpoint.CheckpointException when they are missing or misshapen
   */
  public RmsNorm(ShardLoader loader, String name, int size, float epsilon) {
    this.ops = loader.device().ops();
    this.weight = loader.vector(name, size);
    this.epsilon = epsilon;
  }

  /** {@code out = norm(x)}. */
  public void apply(Stream stream, Tensor x, Tensor out) {
    ops.rmsNorm(stream, x, weight, epsilon, out);
  }

  /** {@code residual += delta; out = norm(residual)}. */
  public void addAndApply(Stream stream, Tensor residual, Tensor delta, Tensor out) {
    ops.addRmsNorm(stream, residual, delta, weight, epsilon, out);
  }

  /** F32 {@code [1, size]}, for operations that normalise on the way. */
  Tensor weight() {
    return weight;
  }
}
