package io.flotilla.executor;

import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a step yielded.
 *
 * @param samples one for each sequence whose plan said {@code sample}, in the plan's order
 * @param promptLogprobs of prompt tokens computed in this step, where they were asked for
 */
public record StepResult(long step, List<Sample> samples, List<PromptLogprobs> promptLogprobs) {
  public StepResult {
    samples = List.copyOf(samples);
    promptLogprobs = List.copyOf(promptLogprobs);
  }

  /**
   * A sampled token.
   *
   * @param token the id, or {@link #INVALID} when the logits held no number to choose by
   */
  public record Sample(int slot, int token, @Nullable TokenLogprobs logprobs) {
    /** The logits were not numbers: the sequence cannot go on. */
    public static final int INVALID = -1;
  }

  /** Log-probabilities of the prompt tokens at {@code firstPosition} and following. */
  public record PromptLogprobs(int slot, int firstPosition, List<TokenLogprobs> tokens) {
    public PromptLogprobs {
      tokens = List.copyOf(tokens);
    }
  }
}
