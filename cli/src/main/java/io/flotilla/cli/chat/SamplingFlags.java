package io.flotilla.cli.chat;

import io.flotilla.cli.option.UsageException;
import io.flotilla.model.sampling.SamplingParameters;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** How answers are sampled; what is not said is left to the model's own defaults. */
final class SamplingFlags {
  @Option(names = "--temperature", paramLabel = "T", description = "0 is greedy.")
  @Nullable Double temperature;

  @Option(names = "--top-p", paramLabel = "P", description = "Nucleus to sample from.")
  @Nullable Double topP;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      description = "Tokens of an answer at most. Default: what fits for chat, 16 for complete.")
  @Nullable Integer maxTokens;

  @Option(
      names = "--sampling-seed",
      paramLabel = "N",
      description = "The same seed gives the same answers.")
  @Nullable Long seed;

  /**
   * @throws UsageException naming the flag whose value means nothing
   */
  void refuseNonsense() {
    if (temperature != null && !(temperature >= 0)) {
      throw new UsageException("--temperature is " + temperature + "; it must be at least 0");
    }
    if (topP != null && !(topP > 0 && topP <= 1)) {
      throw new UsageException("--top-p is " + topP + "; it must be above 0 and at most 1");
    }
    if (maxTokens != null && maxTokens < 1) {
      throw new UsageException("--max-tokens is " + maxTokens + "; it must be at least 1");
    }
  }

  /** The tokens to generate at most. */
  int maxTokens(int unsaid) {
    return maxTokens == null ? unsaid : maxTokens;
  }

  /** A model's own sampling with what was said in its place. */
  SamplingParameters over(SamplingParameters defaults) {
    return new SamplingParameters(
        temperature == null ? defaults.temperature() : temperature.floatValue(),
        defaults.topK(),
        topP == null ? defaults.topP() : topP.floatValue(),
        defaults.minP(),
        defaults.repetitionPenalty(),
        defaults.presencePenalty(),
        defaults.frequencyPenalty(),
        defaults.logitBias(),
        seed == null ? defaults.seed() : seed,
        defaults.choice(),
        defaults.minTokens(),
        defaults.stopTokens(),
        defaults.logprobs(),
        defaults.promptLogprobs());
  }

  /** Writes what was said into a request of either endpoint. */
  void write(ObjectNode body) {
    if (temperature != null) {
      body.put("temperature", temperature);
    }
    if (topP != null) {
      body.put("top_p", topP);
    }
    if (maxTokens != null) {
      body.put("max_tokens", maxTokens);
    }
    if (seed != null) {
      body.put("seed", seed);
    }
  }
}
