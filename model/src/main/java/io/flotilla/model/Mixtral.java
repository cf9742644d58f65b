package io.flotilla.model;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.RopeTable;
import io.flotilla.model.layer.DecoderLayer;
import io.flotilla.model.layer.ExpertMlp;
import io.flotilla.model.layer.RmsNorm;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.SelfAttention.Variant;
import io.flotilla.model.layer.ShardLoader;
import java.util.Objects;

/** Mixtral (arXiv 2401.04088): experts in every layer. */
final class Mixtral implements ModelFamily {
  private static final ExpertMlp.Names NAMES = new ExpertMlp.Names("gate", "w1", "w3", "w2");

  @Override
  public String architecture() {
    return "MixtralForCausalLM";
  }

  @Override
  public DecoderLayer loadLayer(ShardLoader loader, ModelConfig config, int layer, RopeTable rope) {
    String name = "model.layers." + layer;
    int hidden = config.hiddenSize();
    float epsilon = config.rmsEpsilon();
    ExpertConfig experts = Objects.requireNonNull(config.experts(layer));
    Variant variant = new Variant(false, false, false);
    return new DecoderLayer(
        new RmsNorm(loader, name + ".input_layernorm.weight", hidden, epsilon),
        new SelfAttention(loader, config, name + ".self_attn", variant, rope),
        new RmsNorm(loader, name + ".post_attention_layernorm.weight", hidden, epsilon),
        new ExpertMlp(loader, experts, name + ".block_sparse_moe", NAMES, hidden));
  }
}
