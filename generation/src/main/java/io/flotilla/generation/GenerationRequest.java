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
  /**
   * @throws IllegalArgumentException when there is no prompt, nothing may be generated, or a stop
   *     string is empty
   */
  public GenerationRequest {
    stop = List.copyOf(stop);
    if (prompt.length == 0) {
      throw new IllegalArgumentException("the prompt is empty; it needs at least one token");
    }
    if (maxTokens < 1) {
      throw new IllegalArgumentException("max_tokens is " + maxTokens + "; it must be at least 1");
    }
    if (stop.contains("")) {
      throw new IllegalArgumentException("stop has an empty string");
    }
  }

  /** A choice without stop strings, special tokens left out of the text, nobody's cache salt. */
  public static GenerationRequest of(int[] prompt, SamplingParameters sampling, int maxTokens) {
    return new GenerationRequest(prompt, sampling, maxTokens, List.of(), false, true, "");
  }
}
