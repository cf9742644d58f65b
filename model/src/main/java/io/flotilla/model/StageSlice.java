package io.flotilla.model;

import io.flotilla.checkpoint.ModelConfig;

/**
 * The part of a model that one pipeline stage holds.
 *
 * @param firstLayer the first layer
 * @param endLayer the layer after the last
 * @param embedding whether the stage turns ids into activations; else it takes activations
 * @param head whether the stage yields logits
 */
public record StageSlice(int firstLayer, int endLayer, boolean embedding, boolean head) {
  /**
   * @throws IllegalArgumentException when the range holds no layer
   */
  public StageSlice {
    if (firstLayer < 0 || endLayer <= firstLayer) {
      throw new IllegalArgumentException("no layers in " + firstLayer + " .. " + endLayer);
    }
  }

  /** The whole model in one stage. */
  public static StageSlice whole(ModelConfig config) {
    return new StageSlice(0, config.layers(), true, true);
  }

  /** Layers of this stage. */
  public int layers() {
    return endLayer - firstLayer;
  }
}
