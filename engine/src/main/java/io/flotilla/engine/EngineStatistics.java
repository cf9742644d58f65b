package io.flotilla.engine;

import java.time.Duration;
import java.util.List;

/**
 * An engine's counts at the end of its last turn.
 *
 * @param running sequences that hold a slot
 * @param waiting sequences that hold none
 * @param kvUsage share of the KV blocks held by running sequences, 0 to 1
 * @param prefixQueries tokens looked up in the prefix cache
 * @param prefixHits tokens found there
 * @param preemptions times a sequence lost its KV blocks to an older one
 * @param promptTokens prompt tokens of sequences that got their first token
 * @param generatedTokens tokens sampled, those computed past an end not counted
 * @param steps steps applied
 * @param stages where the time of each pipeline stage went
 * @param heartbeatNanos the engine's clock ({@code System.nanoTime}) at the end of the turn
 */
public record EngineStatistics(
    int running,
    int waiting,
    double kvUsage,
    long prefixQueries,
    long prefixHits,
    long preemptions,
    long promptTokens,
    long generatedTokens,
    long steps,
    List<StageTime> stages,
    long heartbeatNanos) {
  public EngineStatistics {
    stages = List.copyOf(stages);
  }

  /**
   * Where the time of a pipeline stage went while the engine had work.
   *
   * @param busyNanos in which it computed
   * @param bubbleNanos in which it did not
   */
  public record StageTime(long busyNanos, long bubbleNanos) {}

  /**
   * How long the engine has worked on one turn; zero when it has nothing to do.
   *
   * @param nanoTime now
   */
  public Duration silence(long nanoTime) {
    boolean idle = running == 0 && waiting == 0;
    return idle ? Duration.ZERO : Duration.ofNanos(Math.max(0, nanoTime - heartbeatNanos));
  }
}
