package io.flotilla.kernels.cpu;

import io.flotilla.kernels.TensorType;

/**
 * What a worker computes between two hand-overs, on memory by address. Implementations give a row
 * the same result whatever is computed beside it.
 */
interface TileKernels {
  /** Outputs that a tile of a matrix product has at most. */
  int mostOutputs(int rows, int columns, TensorType type);

  /**
   * Multiplies some outputs of a matrix with all rows.
   *
   * @param worker whose scratch memory is used; no other call has the same number now
   */
  void multiply(LinearTile tile, int worker);

  /** Computes one key-value head for adjacent rows of a sequence. */
  void attend(AttentionTile tile, int worker);

  /** {@code to[i] += from[i]}. */
  void add(long to, long from, int columns);

  /** {@code to[i] += scale * from[i]}. */
  void addScaled(long to, float scale, long from, int columns);

  /** RMSNorm of one row; {@code out} may be {@code x}. */
  void normalise(long x, long weights, int columns, float epsilon, long out);

  /** {@code out[i] = silu(gate[i]) * up[i]}. */
  void gate(long gate, long up, int columns, long out);

  /**
   * Rotates pairs of elements of a head, half a head apart.
   *
   * @param angles the cosine of each pair, then the sine of each
   */
  void rotateHalves(long head, long angles, int pairs);
}
