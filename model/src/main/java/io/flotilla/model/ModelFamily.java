package io.flotilla.model;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.RopeTable;
import io.flotilla.model.layer.DecoderLayer;
import io.flotilla.model.layer.ShardLoader;

/** What tells one family of decoders from another: how a layer is put together. */
interface ModelFamily {
  /** As {@code config.json} calls it, such as {@code LlamaForCausalLM}. */
  String architecture();

  /**
   * Loads a layer.
   *
   * @param layer its number in the model
   */
  DecoderLayer loadLayer(ShardLoader loader, ModelConfig config, int layer, RopeTable rope);
}
