package io.flotilla.checkpoint;

import java.util.List;

/**
 * The experts of a mixture-of-experts model.
 *
 * @param count experts of a layer
 * @param perToken experts that compute a token
 * @param intermediateSize columns between the matrices of an expert
 * @param normalised whether the weights of a token's experts are scaled to a sum of 1
 * @param denseLayers layers that have an MLP and no experts
 */
public record ExpertConfig(
    int count, int perToken, int intermediateSize, boolean normalised, List<Integer> denseLayers) {
  public ExpertConfig {
    denseLayers = List.copyOf(denseLayers);
  }
}
