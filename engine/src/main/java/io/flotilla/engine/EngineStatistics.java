package io.flotilla.engine;

import java.time.Duration;
import java.util.ArrayList;
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
  public record StageTime(long busyNanos, long bubbleNanos) {
    private StageTime plus(StageTime other) {
      return new StageTime(busyNanos + other.busyNanos, bubbleNanos + other.bubbleNanos);
    }
  }

  /** The counts of an engine that has done nothing. */
  public static EngineStatistics none() {
    return new EngineStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, List.of(), 0);
  }

  /** These with what only grows added to what an engine before this one came to. */
  public EngineStatistics after(EngineStatistics earlier) {
    List<StageTime> sums = new ArrayList<>();
    for (int i = 0; i < stages.size(); i++) {
      sums.add(
          i < earlier.stages.size() ? stages.get(i).plus(earlier.stages.get(i)) : stages.get(i));
    }
    return new EngineStatistics(
        running,
        waiting,
        kvUsage,
        prefixQueries + earlier.prefixQueries,
        prefixHits + earlier.prefixHits,
        preemptions + earlier.preemptions,
        promptTokens + earlier.promptTokens,
        generatedTokens + earlier.generatedTokens,
        steps + earlier.steps,
        sums,
        heartbeatNanos);
  }

  /** These as they stand when the engine is gone: nothing runs, and what only grows is kept. */
  public EngineStatistics ofTheDead() {
    return new EngineStatistics(
        0,
        0,
        0,
        prefixQueries,
        prefixHits,
        preemptions,
        promptTokens,
        generatedTokens,
        steps,
        stages,
        heartbeatNanos);
  }

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
