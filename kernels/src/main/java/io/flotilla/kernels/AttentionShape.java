package io.flotilla.kernels;

/**
 * The head geometry of one rank's share of a layer. A row of its fused projection is {@code [query
 * heads | key heads | value heads] x headDim}.
 *
 * @param heads query heads
 * @param kvHeads key and value heads; divides {@code heads}
 * @param headDim elements of a head
 */
public record AttentionShape(int heads, int kvHeads, int headDim) {
  /**
   * @throws IllegalArgumentException when the key-value heads do not divide the query heads
   */
  public AttentionShape {
    if (heads <= 0 || kvHeads <= 0 || headDim <= 0 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          heads + " query heads cannot share " + kvHeads + " key-value heads of " + headDim);
    }
  }

  /** Columns of a row of fused queries, keys and values. */
  public int qkvColumns() {
    return (heads + 2 * kvHeads) * headDim;
  }

  /** Columns of a row of keys and values. */
  public int keyValueColumns() {
    return 2 * kvHeads * headDim;
  }

  /** Columns of a row of queries, and of a row of attention output. */
  public int queryColumns() {
    return heads * headDim;
  }
}
