package io.flotilla.server.openai;

import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;

/**
 * What a request says of its answers beyond the prompt.
 *
 * @param parameters of the first choice
 * @param seeded whether the request brought its seed
 * @param choices answers to each prompt ({@code n})
 */
record Sampling(
    SamplingParameters parameters,
    boolean seeded,
    int choices,
    List<String> stop,
    boolean includeStop,
    boolean skipSpecialTokens,
    String cacheSalt) {
  Sampling {
    stop = List.copyOf(stop);
  }

  /** The parameters of another choice. */
  SamplingParameters choice(long seed, int choice) {
    return new SamplingParameters(
        parameters.temperature(),
        parameters.topK(),
        parameters.topP(),
        parameters.minP(),
        parameters.repetitionPenalty(),
        parameters.presencePenalty(),
        parameters.frequencyPenalty(),
        parameters.logitBias(),
        seed,
        choice,
        parameters.minTokens(),
        parameters.stopTokens(),
        parameters.logprobs(),
        parameters.promptLogprobs());
  }
}
