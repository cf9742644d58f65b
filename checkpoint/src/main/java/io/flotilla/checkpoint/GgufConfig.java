package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A model's shape and sampling, read from a GGUF file's metadata and tensors. */
final class GgufConfig {
  private static final Map<String, String> ARCHITECTURES =
      Map.of(
          "llama", "LlamaForCausalLM",
          "qwen2", "Qwen2ForCausalLM",
          "qwen3", "Qwen3ForCausalLM");
  private static final Set<String> TURN_ENDS =
      Set.of("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>");
  private static final int MAX_LAYERS = 4096;
  private static final int MAX_HEADS = 1 << 16;
  private static final int MAX_WIDTH = 1 << 22;
  private static final int MAX_POSITIONS = 1 << 30;

  private final GgufMetadata metadata;
  private final Map<String, TensorEntry> tensors;
  private final @Nullable GgufTokenizer tokenizer;
  private final String family;

  private GgufConfig(
      GgufMetadata metadata,
      Map<String, TensorEntry> tensors,
      @Nullable GgufTokenizer tokenizer,
      String family) {
    this.metadata = metadata;
    this.tensors = tensors;
    this.tokenizer = tokenizer;
    this.family = family;
  }

  /**
   * The model's shape.
   *
   * @param tensors under their names in the file
   */
  static ModelConfig model(
      GgufMetadata metadata, Map<String, TensorEntry> tensors, @Nullable GgufTokenizer tokenizer) {
    String family = metadata.text("general.architecture");
    String architecture = family == null ? null : ARCHITECTURES.get(family);
    if (family == null || architecture == null) {
      throw metadata.error(
          "general.architecture", "is " + family + "; llama, qwen2 and qwen3 are supported");
    }
    GgufConfig config = new GgufConfig(metadata, tensors, tokenizer, family);
    config.refuseUnsupported();
    return config.model(architecture);
  }

  private ModelConfig model(String architecture) {
    int hidden = metadata.positive(key("embedding_length"), MAX_WIDTH);
    int heads = metadata.positive(key("attention.head_count"), MAX_HEADS);
    int headDim = headDim(hidden, heads);
    int positions = metadata.positive(key("context_length"), MAX_POSITIONS);
    return new ModelConfig(
        architecture,
        hidden,
        metadata.positive(key("feed_forward_length"), MAX_WIDTH),
        metadata.positive(key("block_count"), MAX_LAYERS),
        heads,
        kvHeads(heads),
        headDim,
        vocabularySize(),
        positions,
        (float) metadata.positiveNumber(key("attention.layer_norm_rms_epsilon"), 1e-6),
        metadata.positiveNumber(key("rope.freq_base"), 10_000),
        ropeScaling(headDim, positions),
        family.equals("llama"),
        !tensors.containsKey("output.weight"),
        tensors.containsKey("blk.0.attn_q.bias"),
        tensors.containsKey("blk.0.ffn_up.bias"),
        endOfSequence());
  }

  private String key(String name) {
    return family + "." + name;
  }

  private void refuseUnsupported() {
    if (metadata.whole("split.count", 0, MAX_WIDTH, 1) > 1) {
      throw metadata.error(
          "split.count", "says the model is split; merge it with llama-gguf-split --merge");
    }
    if (metadata.whole(key("expert_count"), 0, MAX_WIDTH, 0) > 0) {
      throw metadata.error(key("expert_count"), "says mixture of experts, which is not supported");
    }
    if (metadata.whole(key("attention.sliding_window"), 0, Integer.MAX_VALUE, 0) > 0) {
      throw metadata.error(key("attention.sliding_window"), "is in use, which is not supported");
    }
  }

  private int kvHeads(int heads) {
    String key = key("attention.head_count_kv");
    int kvHeads = metadata.whole(key, 1, MAX_HEADS, heads);
    if (heads % kvHeads != 0) {
      throw metadata.error(key, "is " + kvHeads + " and does not divide the " + heads + " heads");
    }
    return kvHeads;
  }

  private int headDim(int hidden, int heads) {
    String key = key("attention.key_length");
    if (!metadata.has(key) && hidden % heads != 0) {
      throw metadata.error(
          key("attention.head_count"), "is " + heads + " and does not divide " + hidden);
    }
    int headDim = metadata.whole(key, 1, MAX_HEADS, Math.max(1, hidden / heads));
    requireHeadDim("attention.value_length", headDim);
    requireHeadDim("rope.dimension_count", headDim);
    if (headDim % 2 != 0) {
      throw metadata.error(key, "is " + headDim + "; rotary positions need an even one");
    }
    return headDim;
  }

  private void requireHeadDim(String name, int headDim) {
    int value = metadata.whole(key(name), 1, MAX_WIDTH, headDim);
    if (value != headDim) {
      throw metadata.error(
          key(name), "is " + value + "; only the size of a head, " + headDim + ", is supported");
    }
  }

  private int vocabularySize() {
    TensorEntry embedding = tensors.get("token_embd.weight");
    if (embedding == null) {
      throw metadata.error("token_embd.weight", "is missing among the tensors");
    }
    long rows = embedding.shape().getFirst();
    if (rows > Integer.MAX_VALUE || (tokenizer != null && tokenizer.tokens().size() != rows)) {
      throw metadata.error(
          "token_embd.weight",
          "has "
              + rows
              + " rows for "
              + (tokenizer == null ? 0 : tokenizer.tokens().size())
              + " tokens of the tokenizer");
    }
    return (int) rows;
  }

  private RopeScaling ropeScaling(int headDim, int positions) {
    TensorEntry factors = tensors.get("rope_freqs.weight");
    if (factors != null) {
      return new RopeScaling.Factors(divisors(factors, headDim));
    }
    String type = metadata.text(key("rope.scaling.type"));
    double factor = metadata.positiveNumber(key("rope.scaling.factor"), 1);
    return switch (type) {
      case null -> oldLinear();
      case "none" -> new RopeScaling.None();
      case "linear" ->
          factor == 1 ? new RopeScaling.None() : new RopeScaling.Linear((float) factor);
      case "yarn" -> yarn(factor, positions);
      default ->
          throw metadata.error(
              key("rope.scaling.type"), "is " + type + "; none, linear and yarn are supported");
    };
  }

  /** Files older than {@code rope.scaling.type} name a linear factor only. */
  private RopeScaling oldLinear() {
    double factor = metadata.positiveNumber(key("rope.scale_linear"), 1);
    return factor == 1 ? new RopeScaling.None() : new RopeScaling.Linear((float) factor);
  }

  private RopeScaling yarn(double factor, int positions) {
    String original = key("rope.scaling.original_context_length");
    double attention = metadata.positiveNumber(key("rope.scaling.attn_factor"), 1);
    return new RopeScaling.Yarn(
        (float) factor,
        (float) metadata.positiveNumber(key("rope.scaling.yarn_beta_fast"), 32),
        (float) metadata.positiveNumber(key("rope.scaling.yarn_beta_slow"), 1),
        (float) (attention * RopeFields.yarnAttention(factor, 1)),
        metadata.whole(original, 1, MAX_POSITIONS, positions),
        true);
  }

  private List<Float> divisors(TensorEntry factors, int headDim) {
    if (factors.type() != ElementType.F32 || !factors.shape().equals(List.of(headDim / 2L))) {
      throw metadata.error(
          "rope_freqs.weight",
          "is " + factors.typeName() + " " + factors.shape() + ", not F32 [" + headDim / 2 + "]");
    }
    MemorySegment data = factors.data();
    List<Float> divisors = new ArrayList<>();
    for (long i = 0; i < headDim / 2; i++) {
      int bits = data.get(JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), i * 4);
      float divisor = Float.intBitsToFloat(bits);
      if (!(divisor > 0) || Float.isInfinite(divisor)) {
        throw metadata.error("rope_freqs.weight", "holds " + divisor);
      }
      divisors.add(divisor);
    }
    return divisors;
  }

  /** The named ids first, then control tokens whose text says that they end a turn. */
  private List<Integer> endOfSequence() {
    if (tokenizer == null) {
      return List.of();
    }
    Set<Integer> ids = new LinkedHashSet<>();
    int tokens = tokenizer.tokens().size();
    for (String key : List.of("eos_token_id", "eot_token_id", "eom_token_id")) {
      Integer id = GgufTokenizer.id(metadata, key, tokens);
      if (id != null) {
        ids.add(id);
      }
    }
    for (int id = 0; id < tokens; id++) {
      if (tokenizer.isControl(id) && TURN_ENDS.contains(tokenizer.tokens().get(id))) {
        ids.add(id);
      }
    }
    return List.copyOf(ids);
  }

  /** The sampling that the file recommends ({@code general.sampling.*}). */
  static GenerationDefaults generation(GgufMetadata metadata) {
    String topK = "general.sampling.top_k";
    return new GenerationDefaults(
        bounded(metadata, "general.sampling.temp", 100),
        metadata.has(topK) ? metadata.whole(topK, 0, Integer.MAX_VALUE, 0) : null,
        bounded(metadata, "general.sampling.top_p", 1),
        bounded(metadata, "general.sampling.min_p", 1),
        bounded(metadata, "general.sampling.penalty_repeat", 100),
        List.of());
  }

  private static @Nullable Float bounded(GgufMetadata metadata, String key, double max) {
    Double number = metadata.number(key);
    if (number != null && (number < 0 || number > max)) {
      throw metadata.error(key, "is " + number + ", not within 0 to " + max);
    }
    return number == null ? null : number.floatValue();
  }
}
