package io.flotilla.checkpoint;

import java.util.Optional;

/**
 * Where a model's weights come from: files, or a function of the tensor's name for dummy weights.
 * Names are those of Hugging Face checkpoints ({@code model.layers.0.self_attn.q_proj.weight}),
 * whatever the file calls them. Thread-safe. The tensors live until the source is closed.
 */
public interface WeightSource extends AutoCloseable {
  /** Whether the tensor exists: optional ones (biases, an untied head) are asked for. */
  boolean has(String name);

  /**
   * The tensor, whole.
   *
   * @param shape the shape the architecture calls for, slowest dimension first
   * @throws CheckpointException when it is missing or has another shape, with both shapes
   */
  StoredTensor tensor(String name, long... shape);

  /**
   * How the elements of a matrix are made, where they are random and {@link #tensor} would make
   * them on the host; else empty.
   */
  default Optional<RandomTensor> random(String name, long... shape) {
    return Optional.empty();
  }

  /** Bytes of all weights as stored. */
  long totalBytes();

  @Override
  void close();
}
