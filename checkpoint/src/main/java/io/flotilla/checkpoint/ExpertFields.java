package io.flotilla.checkpoint;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Reads what {@code config.json} says of experts, in the words of each family that has them. */
final class ExpertFields {
  private static final int MAX_EXPERTS = 4096;
  private static final int MAX_WIDTH = 1 << 22;

  private ExpertFields() {}

  /**
   * The experts, or null for a dense model.
   *
   * @throws CheckpointException naming the field that is missing or absurd
   */
  static @Nullable ExpertConfig read(JsonFields fields, String architecture, int layers) {
    return switch (architecture) {
      case "MixtralForCausalLM" ->
          experts(fields, "num_local_experts", "intermediate_size", true, List.of());
      case "Qwen3MoeForCausalLM" ->
          experts(
              fields,
              // Transformers 5 calls them what Mixtral does.
              fields.has("num_experts") ? "num_experts" : "num_local_experts",
              "moe_intermediate_size",
              fields.flag("norm_topk_prob", false),
              denseLayers(fields, layers));
      default -> null;
    };
  }

  private static ExpertConfig experts(
      JsonFields fields, String count, String width, boolean normalised, List<Integer> dense) {
    int experts = fields.positive(count, MAX_EXPERTS);
    int perToken = fields.positive("num_experts_per_tok", MAX_EXPERTS);
    if (perToken > experts) {
      throw fields.error(
          "num_experts_per_tok", "is " + perToken + ", more than the " + experts + " experts");
    }
    return new ExpertConfig(
        experts, perToken, fields.positive(width, MAX_WIDTH), normalised, dense);
  }

  /** Every {@code decoder_sparse_step}th layer has experts, but for {@code mlp_only_layers}. */
  private static List<Integer> denseLayers(JsonFields fields, int layers) {
    int step = fields.positive("decoder_sparse_step", MAX_WIDTH, 1);
    List<Integer> named = fields.tokenIds("mlp_only_layers");
    List<Integer> dense = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      if (named.contains(layer) || (layer + 1) % step != 0) {
        dense.add(layer);
      }
    }
    return dense;
  }
}
