package io.flotilla.kernels;

import java.lang.foreign.MemorySegment;

/**
 * Chooses tokens on the device, so that the next step can compute on them before the host has seen
 * them. It does what needs no sorting: the likeliest token, or a draw with temperature and min-p.
 */
public interface TokenSampling {
  /** Bytes that {@link #describe} writes. */
  long rowBytes();

  /**
   * Writes to host memory how one row is sampled.
   *
   * @param key of the noise: of the seed, the choice and the token's index
   * @param temperature 0 takes the likeliest
   * @param least value of {@code (logit - largest) / temperature} that is kept
   * @param slot of the row's sequence
   */
  void describe(MemorySegment rows, int row, long key, float temperature, float least, int slot);

  /**
   * Samples each row of the logits; a token is -1 where no logit is a number.
   *
   * @param logits F32
   * @param rows as {@link #describe} wrote it, a row for each of the logits'
   * @param samples I32 {@code [1, rows]}: the tokens
   * @param last I32 {@code [1, slots]}: gets each token at its slot, 0 for -1
   */
  void sample(Stream stream, Tensor logits, Buffer rows, Tensor samples, Tensor last);

  /** {@code ids[r] = last[slots[r]]} where the slot is not negative; all I32 of one row. */
  void takeLast(Stream stream, Tensor ids, Tensor slots, Tensor last);
}
