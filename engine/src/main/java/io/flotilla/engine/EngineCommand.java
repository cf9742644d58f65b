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
   * @param sink told of every event, in order, on the engine's thread: it must not block or throw
   */
  record Submit(
      long id,
      int[] prompt,
      int[] generated,
      SamplingParameters sampling,
      int maxTokens,
      String cacheSalt,
      TokenSink sink)
      implements EngineCommand {}

  /** Ends a sequence without further events but its {@link TokenEvent.Finished}. */
  record Abort(long id) implements EngineCommand {}

  /** No more submissions are taken; the engine ends when its last sequence does. */
  record Drain() implements EngineCommand {}
}
