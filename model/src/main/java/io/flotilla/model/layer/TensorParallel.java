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
      throw new IllegalArgumentException(
          "--tensor-parallel-size " + size + " does not divide " + total + " " + what);
    }
    return total / size;
  }
}
