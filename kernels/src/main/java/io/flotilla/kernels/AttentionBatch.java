package io.flotilla.kernels;

/**
 * Where the rows of one step belong: all {@link TensorType#I32} in device memory, so that a
 * recorded graph replays them. The rows of a sequence are adjacent and in order of position.
 *
 * @param rows rows of this step, all sequences together
 * @param sequences sequences of this step
 * @param prompts of them those of several rows, at most
 * @param rowSequences {@code [1, rows]}: the index of each row's sequence
 * @param positions {@code [1, rows]}: each row's position in its sequence, from 0
 * @param firstRows {@code [1, sequences + 1]}: the first row of each sequence, then the end of the
 *     last one's; rows from there on are padding, at position -1
 * @param blockTables {@code [sequences, columns]}: the KV blocks of each sequence, in order
 */
public record AttentionBatch(
    int rows,
    int sequences,
    int prompts,
    Tensor rowSequences,
    Tensor positions,
    Tensor firstRows,
    Tensor blockTables) {
  /** A batch of which any sequence may have several rows. */
  public AttentionBatch(
      int rows,
      int sequences,
      Tensor rowSequences,
      Tensor positions,
      Tensor firstRows,
      Tensor blockTables) {
    this(rows, sequences, sequences, rowSequences, positions, firstRows, blockTables);
  }
}
