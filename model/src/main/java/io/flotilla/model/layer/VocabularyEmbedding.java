package io.flotilla.model.layer;

import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;

/** The table of token embeddings, used where it lies, split over ranks by token. */
public final class VocabularyEmbedding {
  private final Ops ops;
  private final Tensor table;

  /**
   * @param name of the table, {@code [vocabularySize, hiddenSize]}
   * @throws io.flotilla.checkpoint.CheckpointException when it is missing or misshapen
   */
  public VocabularyEmbedding(ShardLoader loader, String name, int vocabularySize, int hiddenSize) {
    this.ops = loader.device().ops();
    this.table = loader.rowShard(name, vocabularySize, hiddenSize);
  }

  /**
   * Looks up a row for each id.
   *
   * @param ids I32 {@code [1, rows]}, each below the vocabulary's size
   * @param out {@code [rows, hiddenSize]}
   */
  public void apply(Stream stream, Tensor ids, Tensor out) {
    ops.embed(stream, table, ids, out);
  }
}
