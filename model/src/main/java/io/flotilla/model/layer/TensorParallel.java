package io.flotilla.model.layer;

/**
 * A rank's place among the ranks that split each layer between them.
 *
 * @param rank from 0
 * @param size ranks that share a layer
 */
public record TensorParallel(int rank, int size) {
  /** One rank that holds every layer whole. */
  public static final TensorParallel SINGLE = new TensorParallel(0, 1);

  private static final String FLAG = "--tensor-parallel-size ";

  /**
   * @throws IllegalArgumentException when the rank lies outside the group
   */
  public TensorParallel {
    if (rank < 0 || rank >= size) {
      throw new IllegalArgumentException("rank " + rank + " of " + size);
    }
  }

  /**
   * This rank's share of {@code total} things.
   *
   * @throws IllegalArgumentException naming {@code what}, when they cannot be shared evenly
   */
  public int share(int total, String what) {
    if (total % size != 0) {
      throw new IllegalArgumentException(FLAG + size + " does not divide " + total + " " + what);
    }
    return total / size;
  }

  /**
   * This rank's key-value heads. Where there are more ranks than heads, neighbouring ranks hold the
   * same one.
   *
   * @throws IllegalArgumentException when neither number divides the other
   */
  public Share kvHeads(int total) {
    if (total % size == 0) {
      int count = total / size;
      return new Share(rank * count, count);
    }
    if (size % total == 0) {
      return new Share(rank / (size / total), 1);
    }
    throw new IllegalArgumentException(
        FLAG + size + " neither divides " + total + " key-value heads nor is a multiple of them");
  }

  /**
   * This rank's tokens of a vocabulary, which need not divide: the last ranks may hold fewer.
   *
   * @throws IllegalArgumentException when a rank would hold none
   */
  public Share vocabulary(int total) {
    int most = Math.ceilDiv(total, size);
    if ((long) most * (size - 1) >= total) {
      throw new IllegalArgumentException(
          FLAG + size + " leaves a rank without tokens of a vocabulary of " + total);
    }
    int first = rank * most;
    return new Share(first, Math.min(most, total - first));
  }
}
