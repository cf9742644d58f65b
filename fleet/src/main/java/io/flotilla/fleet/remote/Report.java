package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineListener.SequenceTimes;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.TokenEvent;

/** What a replica says. First {@link Loading}, then {@link Ready}, then all others. */
sealed interface Report {
  /** Weights are there: so many bytes of all of them. */
  record Loading(long bytes, long total) implements Report {}

  /**
   * The replica serves.
   *
   * @param maxModelLength tokens of prompt and output of one sequence at most
   */
  record Ready(int maxModelLength, EngineStatistics statistics) implements Report {}

  /** To the sink of a sequence. */
  record Told(TokenEvent event) implements Report {}

  /** To the engine's listener. */
  record StepApplied(int tokens) implements Report {}

  /** To the engine's listener. */
  record SequenceEnded(SequenceTimes times) implements Report {}

  /** A turn is over. */
  record TurnEnded(EngineStatistics statistics) implements Report {}

  /** The replica has failed or could not start, and its process ends. */
  record Failed(String cause) implements Report {}
}
