package io.flotilla.model.layer;

import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;

/**
 * The table of token embeddings, used where it lies, split over ranks by token: each rank looks up
 * the tokens it holds, and the sum over ranks has them all.
 */
public final class VocabularyEmbedding {
  private final Ops ops;
  private final Collectives collectives;
  private final Share tokens;
  private final Tensor table;

  /**
   * @param name of the table, {@code [vocabularySize, hiddenSize]}
   * @throws io.flotilla.checkpoint.CheckpointException when it is missing or misshapen
   */
  public VocabularyEmbedding(ShardLoader loader, String name, int vocabularySize, int hiddenSize) {
    this.ops = loader.device().ops();
    this.collectives = loader.collectives();
    this.tokens = loader.parallel().vocabulary(vocabularySize);
    this.table = loader.rows(name, vocabularySize, hiddenSize, tokens);
  }

  /**
   * Looks up a row for each id.
   *
   * @param ids I32 {@code [1, rows]}, each below the vocabulary's size
   * @param out {@code [rows, hiddenSize]}
   */
  public void apply(Stream stream, Tensor ids, Tensor out) {
    if (collectives.size() == 1) {
      ops.embed(stream, table, ids, out);
    } else {
      ops.embedPart(stream, table, tokens.first(), ids, out);
      collectives.allReduce(stream, out);
    }
  }
}
