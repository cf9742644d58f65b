package io.flotilla.model.layer;

import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;

/** What follows attention in a layer: an MLP, or experts. */
public interface FeedForward {
  /** {@code x} and {@code out} are {@code [rows, hiddenSize]}; every rank gets the whole output. */
  void apply(Stream stream, Tensor x, Scratch scratch, Tensor out);
}
