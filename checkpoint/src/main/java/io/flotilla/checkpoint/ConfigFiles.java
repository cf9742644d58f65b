package io.flotilla.checkpoint;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads {@code config.json} and {@code generation_config.json} of a Hugging Face checkpoint, in the
 * dialects of transformers 4 ({@code rope_theta}, {@code rope_scaling}) and 5 ({@code
 * rope_parameters}). Whether the architecture is known is not asked here.
 */
public final class ConfigFiles {
  private static final long MAX_BYTES = 4L << 20;
  private static final int MAX_LAYERS = 4096;
  private static final int MAX_HEADS = 1 << 16;
  private static final int MAX_WIDTH = 1 << 22;
  private static final int MAX_POSITIONS = 1 << 30;

  private ConfigFiles() {}

  /**
   * The model's shape.
   *
   * @param folder holds {@code config.json}
   * @throws CheckpointException naming the field that is missing, absurd or not supported
   */
  public static ModelConfig model(Path folder) {
    JsonFields fields = JsonFields.read(folder.resolve("config.json"), MAX_BYTES);
    List<String> architectures = fields.texts("architectures");
    if (architectures.isEmpty()) {
      throw fields.error("architectures", "is missing: it names the model's architecture");
    }
    int hidden = fields.positive("hidden_size", MAX_WIDTH);
    int layers = fields.positive("num_hidden_layers", MAX_LAYERS);
    int heads = fields.positive("num_attention_heads", MAX_HEADS);
    int positions = fields.positive("max_position_embeddings", MAX_POSITIONS);
    refuseUnsupported(fields, layers, positions);
    return new ModelConfig(
        architectures.getFirst(),
        hidden,
        fields.positive("intermediate_size", MAX_WIDTH),
        layers,
        heads,
        kvHeads(fields, heads),
        headDim(fields, hidden, heads),
        fields.positive("vocab_size", MAX_WIDTH * 4),
        positions,
        (float) fields.positiveNumber("rms_norm_eps", 1e-6),
        RopeFields.theta(fields),
        RopeFields.scaling(fields, positions),
        false,
        fields.flag("tie_word_embeddings", false),
        fields.flag("attention_bias", false),
        fields.flag("mlp_bias", false),
        fields.tokenIds("eos_token_id"),
        ExpertFields.read(fields, architectures.getFirst(), layers));
  }

  private static int kvHeads(JsonFields fields, int heads) {
    int kvHeads = fields.positive("num_key_value_heads", MAX_HEADS, heads);
    if (heads % kvHeads != 0) {
      throw fields.error(
          "num_key_value_heads", "is " + kvHeads + " and does not divide the " + heads + " heads");
    }
    return kvHeads;
  }

  private static int headDim(JsonFields fields, int hidden, int heads) {
    if (!fields.has("head_dim") && hidden % heads != 0) {
      throw fields.error(
          "num_attention_heads", "is " + heads + " and does not divide hidden_size " + hidden);
    }
    int headDim = fields.positive("head_dim", MAX_HEADS, Math.max(1, hidden / heads));
    if (headDim % 2 != 0) {
      throw fields.error("head_dim", "is " + headDim + "; rotary positions need an even one");
    }
    return headDim;
  }

  private static void refuseUnsupported(JsonFields fields, int layers, int positions) {
    String activation = fields.text("hidden_act");
    if (activation != null && !activation.equals("silu")) {
      throw fields.error("hidden_act", "is " + activation + "; only silu is supported");
    }
    JsonFields quantization = fields.object("quantization_config");
    if (quantization != null) {
      throw fields.error(
          "quantization_config",
          "("
              + quantization.text("quant_method")
              + ") is not supported; use the unquantised checkpoint or a GGUF file");
    }
    RopeFields.refusePartial(fields);
    for (String kind : fields.texts("layer_types")) {
      if (!kind.equals("full_attention")) {
        throw fields.error("layer_types", "holds " + kind + "; only full_attention is supported");
      }
    }
    if (slidingWindowInUse(fields, layers, positions)) {
      throw fields.error("sliding_window", "is in use; sliding-window attention is not supported");
    }
  }

  /** Layers from {@code max_window_layers} on slide, unless {@code use_sliding_window} is false. */
  private static boolean slidingWindowInUse(JsonFields fields, int layers, int positions) {
    Double window = fields.number("sliding_window");
    Double firstSliding = fields.number("max_window_layers");
    return window != null
        && window < positions
        && fields.flag("use_sliding_window", true)
        && (firstSliding == null || firstSliding < layers);
  }

  /**
   * The sampling the authors recommend.
   *
   * @param folder may hold {@code generation_config.json}
   * @throws CheckpointException naming the field that is out of range
   */
  public static GenerationDefaults generation(Path folder) {
    Path path = folder.resolve("generation_config.json");
    if (!Files.exists(path)) {
      return new GenerationDefaults(null, null, null, null, null, List.of());
    }
    JsonFields fields = JsonFields.read(path, MAX_BYTES);
    boolean greedy = fields.has("do_sample") && !fields.flag("do_sample", true);
    Double topK = bounded(fields, "top_k", 0, Integer.MAX_VALUE);
    return new GenerationDefaults(
        greedy ? Float.valueOf(0) : single(bounded(fields, "temperature", 0, 100)),
        topK == null ? null : topK.intValue(),
        single(bounded(fields, "top_p", 0, 1)),
        single(bounded(fields, "min_p", 0, 1)),
        single(bounded(fields, "repetition_penalty", 1e-6, 100)),
        fields.tokenIds("eos_token_id"));
  }

  private static @Nullable Double bounded(JsonFields fields, String field, double min, double max) {
    Double number = fields.number(field);
    if (number != null && (number < min || number > max)) {
      throw fields.error(field, "is " + number + ", not within " + min + " to " + max);
    }
    return number;
  }

  private static @Nullable Float single(@Nullable Double number) {
    return number == null ? null : number.floatValue();
  }
}
