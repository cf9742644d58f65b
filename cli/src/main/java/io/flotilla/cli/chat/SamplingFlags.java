package io.flotilla.cli.chat;

import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** How answers are sampled; what is not said is left to the model's own defaults. */
final class SamplingFlags {
  @Option(names = "--temperature", paramLabel = "T", description = "0 is greedy.")
  @Nullable Double temperature;

  @Option(names = "--top-p", paramLabel = "P", description = "Nucleus to sample from.")
  @Nullable Double topP;

  @Option(names = "--max-tokens", paramLabel = "N", description = "Tokens of an answer at most.")
  @Nullable Integer maxTokens;

  @Option(
      names = "--sampling-seed",
      paramLabel = "N",
      description = "The same seed gives the same answers.")
  @Nullable Long seed;

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
