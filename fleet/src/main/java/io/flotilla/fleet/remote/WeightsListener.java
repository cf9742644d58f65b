package io.flotilla.fleet.remote;

/** Is told how far the weights of a replica are. */
@FunctionalInterface
public interface WeightsListener {
  /**
   * Weights were read or made.
   *
   * @param bytes of the tensors that are there
   * @param total bytes of all tensors
   */
  void onWeights(long bytes, long total);
}
