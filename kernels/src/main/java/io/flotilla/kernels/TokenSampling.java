package io.flotilla.kernels;

import java.lang.foreign.MemorySegment;

/**
 * Chooses tokens on the device, so that the next step can compute on them before the host has seen
 * them. Rows and edits are written to host memory first, in the device's own layout.
 */
public interface TokenSampling {
  /** The most likely tokens that a report lists at most. */
  int MOST_LIKELIEST = 20;

  /** Bytes that {@link #describe} writes. */
  long rowBytes();

  /** Bytes that {@link #edit} writes. */
  long editBytes();

  /** Writes how one row's token is chosen. */
  void describe(MemorySegment rows, int row, TokenChoice choice);

  /** Writes an edit: a bias, or a masked token, whose bias is not read. */
  void edit(MemorySegment edits, int index, int id, float bias);

  /**
   * Some rows to choose from.
   *
   * @param logits F32; changed where a row's choice adjusts them
   * @param rows as {@link #describe} wrote them, one for each of the logits'
   * @param edits as {@link #edit} wrote them
   * @param adjusts whether any choice adjusts logits
   * @param sorts whether any choice sorts them
   */
  record Rows(Tensor logits, Buffer rows, Buffer edits, boolean adjusts, boolean sorts) {}

  /**
   * What the device knows of each slot's sequence.
   *
   * @param last I32 {@code [1, slots]}: the token chosen last, 0 where there was none to choose
   * @param histories I32 {@code [slots, length]}: all tokens, of sequences with penalties
   */
  record Sequences(Tensor last, Tensor histories) {}

  /**
   * What is chosen.
   *
   * @param tokens I32 {@code [1, rows]}; -1 where no logit is a number
   * @param reports I32 {@code [rows, 2 + 2 MOST_LIKELIEST]}, where they were asked for: rank and
   *     log-probability (F32) of the token, then pairs of id and log-probability, likeliest first;
   *     after the last an id of -1
   */
  record Choices(Tensor tokens, Tensor reports) {}

  /** Chooses a token for each row; {@code last} and histories with penalties get it too. */
  void sample(Stream stream, Rows rows, Sequences sequences, Choices choices);

  /** {@code ids[r] = last[slots[r]]} where the slot is not negative; all I32 of one row. */
  void takeLast(Stream stream, Tensor ids, Tensor slots, Tensor last);
}
