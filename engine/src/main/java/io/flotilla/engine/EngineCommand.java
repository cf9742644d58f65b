package io.flotilla.engine;

import io.flotilla.model.sampling.SamplingParameters;

/** What an engine can be told. */
public sealed interface EngineCommand {
  /**
   * A sequence to generate. One choice of a request is one sequence.
   *
   * @param id the client's own, unique while the sequence lives
   * @param prompt at least one token
   * @param generated tokens already generated elsewhere, when a request is replayed; else empty
   * @param maxTokens tokens to generate at most, {@code generated} counted
   * @param cacheSalt keys the prefix cache; sequences share blocks only under the same salt
   * @param sink told of every event, in order
   */
  record Submit(
      long id,
      int[] prompt,
      int[] generated,
      SamplingParameters sampling,
      int maxTokens,
      String cacheSalt,
      TokenSink sink)
      implements EngineCommand {
    /**
     * @throws IllegalArgumentException when there is no prompt or nothing may be generated
     */
    public Submit {
      if (prompt.length == 0) {
        throw new IllegalArgumentException("the prompt is empty; it needs at least one token");
      }
      if (maxTokens < 1) {
        throw new IllegalArgumentException(
            "max_tokens is " + maxTokens + "; it must be at least 1");
      }
    }
  }

  /**
   * Ends a sequence without further events but its {@link TokenEvent.Finished}. Unknown ids are
   * ignored.
   */
  record Abort(long id) implements EngineCommand {}

  /** No more submissions are taken; the engine ends when its last sequence does. */
  record Drain() implements EngineCommand {}
}
