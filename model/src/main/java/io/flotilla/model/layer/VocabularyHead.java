package io.flotilla.model.layer;

import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.List;

/** The map from hidden states to logits, split over ranks by token. */
public final class VocabularyHead {
  private final Ops ops;
  private final List<Tensor> weights;

  /**
   * @param name of the matrix {@code [vocabularySize, hiddenSize]}: the embedding's own when the
   *     model ties them
   * @throws io.flotilla.checkpoint.CheckpointException when it is missing or misshapen
   */
  public VocabularyHead(ShardLoader loader, String name, int vocabularySize, int hiddenSize) {
    this.ops = loader.device().ops();
    Share tokens = loader.ranks().place().vocabulary(vocabularySize);
    this.weights = List.of(loader.rows(name, vocabularySize, hiddenSize, tokens));
  }

  /** {@code [rows, hiddenSize]} to this rank's logits. */
  public void apply(Stream stream, Tensor x, Tensor out) {
    ops.linear(stream, x, weights, null, out);
  }
}
