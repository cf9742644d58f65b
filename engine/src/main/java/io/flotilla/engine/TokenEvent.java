package io.flotilla.engine;

import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What an engine says of one sequence. The last event is {@link Finished} or {@link Failed}. */
public sealed interface TokenEvent {
  long id();

  /** The log-probabilities of the whole prompt but its first token, before the first token. */
  record PromptScored(long id, List<TokenLogprobs> tokens) implements TokenEvent {
    public PromptScored {
      tokens = List.copyOf(tokens);
    }
  }

  /**
   * A token was sampled. A stop token is reported too, followed by {@link Finished} with {@link
   * FinishReason#STOP}.
   *
   * @param index of the token in the sequence's output, from 0
   */
  record Token(long id, int index, int token, @Nullable TokenLogprobs logprobs)
      implements TokenEvent {}

  /**
   * The sequence ended.
   *
   * @param cachedTokens prompt tokens taken from the prefix cache when it was first admitted
   * @param generatedTokens tokens generated, the stop token included
   */
  record Finished(
      long id, FinishReason reason, int promptTokens, int cachedTokens, int generatedTokens)
      implements TokenEvent {}

  /** The sequence cannot be served. */
  record Failed(long id, FailureCode code, String message) implements TokenEvent {}

  /** Why a sequence ended. */
  enum FinishReason {
    /** A stop token was sampled. */
    STOP,
    /** {@code maxTokens} or the context length was reached. */
    LENGTH,
    /** It was aborted. */
    ABORT
  }

  /** Why a sequence failed. */
  enum FailureCode {
    /** The waiting queue is full: try again later. */
    OVERLOADED,
    /** The prompt does not fit the context or the KV cache. */
    TOO_LONG,
    /** The engine takes no more work. */
    DRAINING,
    /** The model's logits were not numbers. */
    INVALID_LOGITS,
    /** The replica failed; the message has the first cause. */
    REPLICA_FAILED
  }
}
