package io.flotilla.engine;

/** Told how an engine fares. Called on the engine's thread: it must not block or throw. */
public interface EngineListener {
  /** Keeps nothing. */
  EngineListener NONE =
      new EngineListener() {
        @Override
        public void stepApplied(int tokens) {}

        @Override
        public void sequenceEnded(SequenceTimes times) {}
      };

  /**
   * A step has run.
   *
   * @param tokens computed in it
   */
  void stepApplied(int tokens);

  /** A sequence that got at least one token has ended, be it by an abort. */
  void sequenceEnded(SequenceTimes times);

  /**
   * A turn is over: sinks have heard all of it.
   *
   * @param statistics as they are now
   */
  default void turnEnded(EngineStatistics statistics) {}

  /**
   * The replica has failed, and every sequence with it.
   *
   * @param cause the first
   */
  default void failed(Throwable cause) {}

  /**
   * Where a sequence's time went.
   *
   * @param queueNanos from its arrival to its first slot
   * @param prefillNanos from then to its first token
   * @param decodeNanos from then to its end
   */
  record SequenceTimes(long queueNanos, long prefillNanos, long decodeNanos) {}
}
