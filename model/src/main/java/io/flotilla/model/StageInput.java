package io.flotilla.model;

import io.flotilla.kernels.Tensor;

/** What a stage computes on. */
public sealed interface StageInput {
  /** Token ids, I32 {@code [1, rows]}: for the stage with the embedding. */
  record Ids(Tensor ids) implements StageInput {}

  /**
   * What the stage before yields.
   *
   * @param residual F32 {@code [rows, hiddenSize]}; changed by the stage that takes it
   * @param delta {@code [rows, hiddenSize]}, not yet added to {@code residual}
   */
  record Activations(Tensor residual, Tensor delta) implements StageInput {}
}
