package io.flotilla.model.layer;

/**
 * What one rank holds of a number of things.
 *
 * @param first the first of them
 * @param count how many
 */
public record Share(int first, int count) {
  /** The thing after the last. */
  public int end() {
    return first + count;
  }
}
