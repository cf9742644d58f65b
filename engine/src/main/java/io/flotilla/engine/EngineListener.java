package io.flotilla.engine;

/** Told what histograms are made of. Called on the engine's thread: it must not block or throw. */
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
   * Where a sequence's time went.
   *
   * @param queueNanos from its arrival to its first slot
   * @param prefillNanos from then to its first token
   * @param decodeNanos from then to its end
   */
  record SequenceTimes(long queueNanos, long prefillNanos, long decodeNanos) {}
}
