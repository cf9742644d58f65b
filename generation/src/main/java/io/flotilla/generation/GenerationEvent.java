package io.flotilla.generation;

import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a choice yields, in order. The last event is {@link Ended} or {@link Failed}. */
public sealed interface GenerationEvent {
  /** The log-probabilities of the prompt's tokens but its first, where they were asked for. */
  record PromptScored(List<TokenLogprobs> tokens) implements GenerationEvent {
    public PromptScored {
      tokens = List.copyOf(tokens);
    }
  }

  /**
   * More of the answer.
   *
   * @param text whole characters; empty while a character or a possible stop string is incomplete
   * @param tokens the tokens sampled since the last delta
   */
  record Delta(String text, List<GeneratedToken> tokens) implements GenerationEvent {
    public Delta {
      tokens = List.copyOf(tokens);
    }
  }

  /**
   * The answer is complete.
   *
   * @param stop the stop string that ended it, or null
   * @param stopToken the stop token that ended it, or null
   */
  record Ended(FinishReason reason, @Nullable String stop, @Nullable Integer stopToken, Usage usage)
      implements GenerationEvent {}

  /** The choice cannot be served. */
  record Failed(FailureCode code, String message) implements GenerationEvent {}

  /** A sampled token. */
  record GeneratedToken(int id, @Nullable TokenLogprobs logprobs) {}

  /**
   * Tokens counted.
   *
   * @param cached tokens of the prompt taken from the prefix cache
   * @param generated a stop token included
   */
  record Usage(int prompt, int cached, int generated) {}
}
