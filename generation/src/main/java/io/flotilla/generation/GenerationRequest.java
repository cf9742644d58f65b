package io.flotilla.generation;

import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;

/**
 * One choice to generate from one prompt.
 *
 * @param prompt token ids, at least one; never written after construction
 * @param maxTokens tokens to generate at most
 * @param stop strings that end the text, themselves left out of it
 * @param includeStop keep the stop string that ended the text
 * @param skipSpecialTokens leave special tokens out of the text
 * @param cacheSalt see {@code EngineCommand.Submit}
 */
public record GenerationRequest(
    int[] prompt,
    SamplingParameters sampling,
    int maxTokens,
    List<String> stop,
    boolean includeStop,
    boolean skipSpecialTokens,
    String cacheSalt) {
  public GenerationRequest {
    stop = List.copyOf(stop);
  }
}
