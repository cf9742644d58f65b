package io.flotilla.checkpoint;

import org.jspecify.annotations.Nullable;

/**
 * The rotary positions of a {@code config.json}: {@code rope_parameters} as transformers 5 writes
 * them, or {@code rope_theta} and {@code rope_scaling} of transformers 4.
 */
final class RopeFields {
  private static final double DEFAULT_THETA = 10_000;

  private RopeFields() {}

  static double theta(JsonFields config) {
    JsonFields parameters = config.object("rope_parameters");
    double outer = config.positiveNumber("rope_theta", DEFAULT_THETA);
    return parameters == null ? outer : parameters.positiveNumber("rope_theta", outer);
  }

  static RopeScaling scaling(JsonFields config, int positions) {
    JsonFields parameters = config.object("rope_parameters");
    JsonFields scaling = parameters == null ? config.object("rope_scaling") : parameters;
    if (scaling == null) {
      return new RopeScaling.None();
    }
    String type = type(scaling);
    return switch (type) {
      case "default" -> new RopeScaling.None();
      case "linear" -> new RopeScaling.Linear(required(scaling, "factor"));
      case "llama3" ->
          new RopeScaling.Llama3(
              required(scaling, "factor"),
              required(scaling, "low_freq_factor"),
              required(scaling, "high_freq_factor"),
              originalPositions(config, scaling, positions));
      case "yarn" -> yarn(config, scaling, positions);
      default ->
          throw scaling.error(
              "rope_type", "is " + type + "; default, linear, llama3 and yarn are supported");
    };
  }

  /** Refuses models that rotate only some of a head's dimensions. */
  static void refusePartial(JsonFields config) {
    JsonFields parameters = config.object("rope_parameters");
    String field = "partial_rotary_factor";
    JsonFields holder = parameters != null && parameters.has(field) ? parameters : config;
    double factor = holder.positiveNumber(field, 1);
    if (factor != 1) {
      throw holder.error(field, "is " + factor + "; only 1 is supported");
    }
  }

  private static String type(JsonFields scaling) {
    String type = scaling.text("rope_type");
    String oldKey = type == null ? scaling.text("type") : type;
    if (oldKey != null) {
      return oldKey;
    }
    if (scaling.names().stream().allMatch(name -> name.equals("rope_theta"))) {
      return "default";
    }
    throw scaling.error("rope_type", "is missing");
  }

  private static RopeScaling yarn(JsonFields config, JsonFields scaling, int positions) {
    float factor = required(scaling, "factor");
    return new RopeScaling.Yarn(
        factor,
        (float) scaling.positiveNumber("beta_fast", 32),
        (float) scaling.positiveNumber("beta_slow", 1),
        (float) scaling.positiveNumber("attention_factor", attentionFactor(scaling, factor)),
        originalPositions(config, scaling, positions),
        scaling.flag("truncate", true));
  }

  /** The paper's {@code 0.1 m ln(factor) + 1}, or a ratio of two of them where two are named. */
  private static double attentionFactor(JsonFields scaling, float factor) {
    double mscale = scaling.positiveNumber("mscale", 0);
    double mscaleAllDim = scaling.positiveNumber("mscale_all_dim", 0);
    return mscale > 0 && mscaleAllDim > 0
        ? yarnAttention(factor, mscale) / yarnAttention(factor, mscaleAllDim)
        : yarnAttention(factor, 1);
  }

  static double yarnAttention(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }

  private static float required(JsonFields scaling, String field) {
    if (!scaling.has(field)) {
      throw scaling.error(field, "is missing");
    }
    return (float) scaling.positiveNumber(field, 1);
  }

  private static int originalPositions(JsonFields config, JsonFields scaling, int positions) {
    String field = "original_max_position_embeddings";
    @Nullable JsonFields named = scaling.has(field) ? scaling : config.has(field) ? config : null;
    return named == null ? positions : named.positive(field, 1 << 30);
  }
}
