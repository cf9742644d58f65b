package io.flotilla.kernels;

import java.util.List;

/**
 * The experts of one layer that a rank holds, and how tokens are routed to them.
 *
 * @param gateUps for each expert its two matrices {@code [gate, up]}, each {@code [intermediate,
 *     hidden]}
 * @param downs for each expert its matrix {@code [hidden, intermediate]}
 * @param firstExpert the number of the first of them among all experts
 * @param perToken experts that compute a token
 * @param normalised whether their weights are scaled to a sum of 1
 */
public record ExpertLayer(
    List<List<Tensor>> gateUps,
    List<Tensor> downs,
    int firstExpert,
    int perToken,
    boolean normalised) {
  public ExpertLayer {
    gateUps = List.copyOf(gateUps);
    downs = List.copyOf(downs);
  }

  /** Columns between the matrices of an expert. */
  public int intermediateSize() {
    return downs.getFirst().columns();
  }
}
