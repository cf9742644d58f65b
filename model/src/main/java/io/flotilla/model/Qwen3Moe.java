package io.flotilla.model;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.RopeTable;
import io.flotilla.model.layer.DecoderLayer;
import io.flotilla.model.layer.ExpertMlp;
import io.flotilla.model.layer.FeedForward;
import io.flotilla.model.layer.GatedMlp;
import io.flotilla.model.layer.RmsNorm;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.SelfAttention.Variant;
import io.flotilla.model.layer.ShardLoader;

/** Qwen3 with experts (arXiv 2505.09388), in all layers but those that are said to be dense. */
final class Qwen3Moe implements ModelFamily {
  private static final ExpertMlp.Names NAMES =
      new ExpertMlp.Names("gate", "gate_proj", "up_proj", "down_proj");

  @Override
  public String architecture() {
    return "Qwen3MoeForCausalLM";
  }

  @Override
  public DecoderLayer loadLayer(ShardLoader loader, ModelConfig config, int layer, RopeTable rope) {
    String name = "model.layers." + layer;
    int hidden = config.hiddenSize();
    float epsilon = config.rmsEpsilon();
    ExpertConfig experts = config.experts(layer);
    Variant variant = new Variant(config.attentionBias(), config.attentionBias(), true);
    FeedForward mlp =
        experts == null
            ? new GatedMlp(loader, name + ".mlp", hidden, config.intermediateSize(), false)
            : new ExpertMlp(loader, experts, name + ".mlp", NAMES, hidden);
    return new DecoderLayer(
        new RmsNorm(loader, name + ".input_layernorm.weight", hidden, epsilon),
        new SelfAttention(loader, config, name + ".self_attn", variant, rope),
        new RmsNorm(loader, name + ".post_attention_layernorm.weight", hidden, epsilon),
        mlp);
  }
}
