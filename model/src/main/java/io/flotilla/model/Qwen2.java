package io.flotilla.model;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.RopeTable;
import io.flotilla.model.layer.DecoderLayer;
import io.flotilla.model.layer.GatedMlp;
import io.flotilla.model.layer.RmsNorm;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.SelfAttention.Variant;
import io.flotilla.model.layer.ShardLoader;

/** Qwen2 and Qwen2.5 (arXiv 2412.15115): queries, keys and values have biases, always. */
final class Qwen2 implements ModelFamily {
  @Override
  public String architecture() {
    return "Qwen2ForCausalLM";
  }

  @Override
  public DecoderLayer loadLayer(ShardLoader loader, ModelConfig config, int layer, RopeTable rope) {
    String name = "model.layers." + layer;
    int hidden = config.hiddenSize();
    float epsilon = config.rmsEpsilon();
    Variant variant = new Variant(true, false, false);
    return new DecoderLayer(
        new RmsNorm(loader, name + ".input_layernorm.weight", hidden, epsilon),
        new SelfAttention(loader, config, name + ".self_attn", variant, rope),
        new RmsNorm(loader, name + ".post_attention_layernorm.weight", hidden, epsilon),
        new GatedMlp(loader, name + ".mlp", hidden, config.intermediateSize(), false));
  }
}
