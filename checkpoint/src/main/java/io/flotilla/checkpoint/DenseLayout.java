package io.flotilla.checkpoint;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The tensors of a decoder of the Llama, Qwen and Mixtral families, with their shapes. */
final class DenseLayout {
  private final ModelConfig config;
  private final Map<String, long[]> shapes = new LinkedHashMap<>();

  private DenseLayout(ModelConfig config) {
    this.config = config;
  }

  /**
   * Names and shapes, slowest dimension first.
   *
   * @throws CheckpointException when the architecture is of another kind
   */
  static Map<String, long[]> tensors(ModelConfig config) {
    DenseLayout layout = new DenseLayout(config);
    layout.shapes.put(
        "model.embed_tokens.weight", new long[] {config.vocabularySize(), config.hiddenSize()});
    boolean projectionBias = layout.projectionBias();
    for (int layer = 0; layer < config.layers(); layer++) {
      layout.addAttention("model.layers." + layer + ".", projectionBias);
      layout.addFeedForward("model.layers." + layer + ".", config.experts(layer));
    }
    layout.shapes.put("model.norm.weight", new long[] {config.hiddenSize()});
    if (!config.tiedEmbeddings()) {
      layout.shapes.put(
          "lm_head.weight", new long[] {config.vocabularySize(), config.hiddenSize()});
    }
    return layout.shapes;
  }

  /** Qwen2 has biases of query, key and value whatever its configuration says. */
  private boolean projectionBias() {
    return switch (config.architecture()) {
      case "Qwen2ForCausalLM" -> true;
      case "LlamaForCausalLM", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM" -> config.attentionBias();
      case "MixtralForCausalLM" -> false;
      default ->
          throw new CheckpointException(
              "no dummy weights for the architecture "
                  + config.architecture()
                  + "; LlamaForCausalLM, MixtralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM and"
                  + " Qwen3MoeForCausalLM have them");
    };
  }

  private void addAttention(String layer, boolean projectionBias) {
    long queries = (long) config.heads() * config.headDim();
    long keys = (long) config.kvHeads() * config.headDim();
    boolean outputBias = config.attentionBias() && !config.architecture().startsWith("Qwen2");
    shapes.put(layer + "input_layernorm.weight", new long[] {config.hiddenSize()});
    addLinear(layer + "self_attn.q_proj", queries, config.hiddenSize(), projectionBias);
    addLinear(layer + "self_attn.k_proj", keys, config.hiddenSize(), projectionBias);
    addLinear(layer + "self_attn.v_proj", keys, config.hiddenSize(), projectionBias);
    addLinear(layer + "self_attn.o_proj", config.hiddenSize(), queries, outputBias);
    if (config.architecture().startsWith("Qwen3")) {
      shapes.put(layer + "self_attn.q_norm.weight", new long[] {config.headDim()});
      shapes.put(layer + "self_attn.k_norm.weight", new long[] {config.headDim()});
    }
  }

  private void addFeedForward(String layer, @Nullable ExpertConfig experts) {
    boolean bias = config.mlpBias();
    shapes.put(layer + "post_attention_layernorm.weight", new long[] {config.hiddenSize()});
    if (experts != null) {
      addExperts(layer, experts);
      return;
    }
    addLinear(layer + "mlp.gate_proj", config.intermediateSize(), config.hiddenSize(), bias);
    addLinear(layer + "mlp.up_proj", config.intermediateSize(), config.hiddenSize(), bias);
    addLinear(layer + "mlp.down_proj", config.hiddenSize(), config.intermediateSize(), bias);
  }

  private void addExperts(String layer, ExpertConfig experts) {
    boolean mixtral = config.architecture().startsWith("Mixtral");
    String block = layer + (mixtral ? "block_sparse_moe." : "mlp.");
    long width = experts.intermediateSize();
    addLinear(block + "gate", experts.count(), config.hiddenSize(), false);
    for (int expert = 0; expert < experts.count(); expert++) {
      String name = block + "experts." + expert + ".";
      addLinear(name + (mixtral ? "w1" : "gate_proj"), width, config.hiddenSize(), false);
      addLinear(name + (mixtral ? "w3" : "up_proj"), width, config.hiddenSize(), false);
      addLinear(name + (mixtral ? "w2" : "down_proj"), config.hiddenSize(), width, false);
    }
  }

  private void addLinear(String name, long outputs, long inputs, boolean bias) {
    shapes.put(name + ".weight", new long[] {outputs, inputs});
    if (bias) {
      shapes.put(name + ".bias", new long[] {outputs});
    }
  }
}
