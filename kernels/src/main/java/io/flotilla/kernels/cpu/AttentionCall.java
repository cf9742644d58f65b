package io.flotilla.kernels.cpu;

/**
 * The operands of one call of {@link io.flotilla.kernels.Ops#attention} or {@link
 * io.flotilla.kernels.Ops#attentionPart}, as addresses.
 *
 * @param heads query heads of a key-value head
 * @param groupHeads query heads that lie next to each other in a row of queries; the next group of
 *     the same row lies {@code groupBytes} further
 * @param part which of the tokens are there, of {@code parts}
 * @param partial whether sums are left undivided, and stand before their scales
 * @param rowsPerTile rows of a tile at most
 */
record AttentionCall(
    long queries,
    long queryRowBytes,
    long queryGroupBytes,
    long out,
    long outRowBytes,
    long outGroupBytes,
    long positions,
    long blockTables,
    long blockTableBytes,
    long keys,
    long values,
    KvLayout layout,
    int heads,
    int groupHeads,
    int part,
    int parts,
    boolean partial,
    int rowsPerTile,
    float scale) {

  /** Tokens that are there up to a position, that one included. */
  int held(int position) {
    return (position + parts - part) / parts;
  }

  /** The address of a query, of a head from the first of a key-value head. */
  long query(int row, int kvHead, int head) {
    return queries + row * queryRowBytes + place(kvHead, head, queryGroupBytes);
  }

  /** The address of what comes of a query. */
  long result(int row, int kvHead, int head) {
    return out + row * outRowBytes + place(kvHead, head, outGroupBytes);
  }

  private long place(int kvHead, int head, long groupBytes) {
    int first = kvHead * heads;
    return head / groupHeads * groupBytes + 4L * (first + head % groupHeads) * layout.headDim();
  }

  /** The address of the largest score of a query; the sum of its weights is a group further. */
  long largest(int row, int head) {
    return out
        + row * outRowBytes
        + head / groupHeads * outGroupBytes
        + 4L * (groupHeads * layout.headDim() + head % groupHeads);
  }
}
