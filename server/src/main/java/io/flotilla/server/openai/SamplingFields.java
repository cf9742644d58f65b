package io.flotilla.server.openai;

import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads the fields that both kinds of completion share. Unset ones are the model's own. */
final class SamplingFields {
  /** Top log-probabilities at most, as OpenAI and vLLM have it. */
  static final int MOST_LOGPROBS = 20;

  private static final int MOST_CHOICES = 128;
  private static final int MOST_STOPS = 64;
  private static final int MOST_STOP_TOKENS = 1024;
  private static final double STRONGEST_BIAS = 100;
  private static final double STRONGEST_PENALTY = 2;
  private static final double HOTTEST = 100;

  private final Fields fields;
  private final ServedModel served;
  private final SamplingParameters defaults;

  SamplingFields(Fields fields, ServedModel served) {
    this.fields = fields;
    this.served = served;
    this.defaults = served.model().defaultSampling();
  }

  /**
   * @param logprobs as {@link SamplingParameters} has it
   * @param promptLogprobs the same
   */
  Sampling read(int logprobs, int promptLogprobs) {
    Long seed = fields.longInteger("seed");
    SamplingParameters parameters =
        new SamplingParameters(
            fields.number("temperature", defaults.temperature(), 0, HOTTEST),
            topK(),
            positive("top_p", defaults.topP(), 1),
            fields.number("min_p", defaults.minP(), 0, 1),
            positive("repetition_penalty", defaults.repetitionPenalty(), 100),
            penalty("presence_penalty", defaults.presencePenalty()),
            penalty("frequency_penalty", defaults.frequencyPenalty()),
            logitBias(),
            seed == null ? defaults.seed() : seed,
            0,
            integerOr("min_tokens", defaults.minTokens(), 0, served.model().maxModelLength()),
            stopTokens(),
            logprobs,
            promptLogprobs);
    int choices = integerOr("n", 1, 1, MOST_CHOICES);
    refuseBestOf(choices);
    return new Sampling(
        parameters,
        seed != null,
        choices,
        stop(),
        fields.flag("include_stop_str_in_output", false),
        fields.flag("skip_special_tokens", true),
        cacheSalt());
  }

  private int topK() {
    int topK = integerOr("top_k", defaults.topK(), -1, Integer.MAX_VALUE);
    return Math.max(topK, 0);
  }

  private float penalty(String name, float unset) {
    return fields.number(name, unset, -STRONGEST_PENALTY, STRONGEST_PENALTY);
  }

  private float positive(String name, float unset, double most) {
    float value = fields.number(name, unset, 0, most);
    if (value <= 0) {
      throw RefusedException.field(
          fields.name(name), fields.name(name) + " is 0; it must be above 0, to " + most);
    }
    return value;
  }

  private int integerOr(String name, int unset, int least, int most) {
    Integer value = fields.integer(name, least, most);
    return value == null ? unset : value;
  }

  private Map<Integer, Float> logitBias() {
    Fields biases = fields.object("logit_bias");
    if (biases == null) {
      return defaults.logitBias();
    }
    Map<Integer, Float> read = new HashMap<>();
    for (String key : biases.names()) {
      read.put(tokenId(key), biases.number(key, 0f, -STRONGEST_BIAS, STRONGEST_BIAS));
    }
    return read;
  }

  private int tokenId(String key) {
    int largest = served.largestTokenId();
    try {
      int id = Integer.parseInt(key);
      if (id >= 0 && id <= largest) {
        return id;
      }
    } catch (NumberFormatException _) {
      // Refused below, like an id that is out of range.
    }
    throw RefusedException.field(
        "logit_bias",
        "logit_bias has the key "
            + Fields.quote(key)
            + "; keys must be ids of tokens, 0 to "
            + largest);
  }

  private List<Integer> stopTokens() {
    List<Integer> requested = fields.integers("stop_token_ids", 0, served.largestTokenId());
    if (requested.size() > MOST_STOP_TOKENS) {
      throw tooMany("stop_token_ids", requested.size(), MOST_STOP_TOKENS);
    }
    List<Integer> all = new ArrayList<>();
    if (!fields.flag("ignore_eos", false)) {
      all.addAll(defaults.stopTokens());
    }
    for (Integer id : requested) {
      if (!all.contains(id)) {
        all.add(id);
      }
    }
    return all;
  }

  private List<String> stop() {
    JsonNode stop = fields.take("stop");
    if (stop == null) {
      return List.of();
    }
    List<String> strings = new ArrayList<>();
    if (stop.isArray()) {
      for (JsonNode element : stop.values()) {
        strings.add(Fields.text("stop[" + strings.size() + "]", element));
      }
    } else if (stop.isString()) {
      strings.add(Fields.text("stop", stop));
    } else {
      throw Fields.wrongType("stop", "a string or a list of strings", stop);
    }
    if (strings.size() > MOST_STOPS) {
      throw tooMany("stop", strings.size(), MOST_STOPS);
    }
    if (strings.contains("")) {
      throw RefusedException.field("stop", "stop has an empty string; leave it out");
    }
    return strings;
  }

  private String cacheSalt() {
    String salt = fields.text("cache_salt");
    if (salt == null) {
      return "";
    }
    if (salt.isEmpty()) {
      throw RefusedException.field(
          "cache_salt", "cache_salt is empty; give a string or leave it out");
    }
    return salt;
  }

  private void refuseBestOf(int choices) {
    Integer bestOf = fields.integer("best_of", 1, MOST_CHOICES);
    if (bestOf != null && bestOf != choices) {
      throw RefusedException.field(
          "best_of",
          "best_of is " + bestOf + ", which is supported only where it equals n (" + choices + ")");
    }
  }

  private static RefusedException tooMany(String name, int found, int most) {
    return RefusedException.field(name, name + " has " + found + " elements; at most " + most);
  }

  /** A number of log-probabilities, or null. */
  static @Nullable Integer logprobs(Fields fields, String name) {
    return fields.integer(name, 0, MOST_LOGPROBS);
  }
}
