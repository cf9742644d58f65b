package io.flotilla.engine;

import io.flotilla.engine.EngineStatistics.StageTime;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;

/**
 * Tells the time in which a pipeline's stages compute from bubbles: time in which the engine has
 * work and a stage does not compute, be it that it waits for another stage or for the engine. Used
 * by the engine's thread alone.
 */
final class PipelineClock {
  private final LongSupplier clock;
  private long worked;
  private long workingSince;
  private boolean working;
  private List<StageTime> last = List.of();

  PipelineClock(LongSupplier clock) {
    this.clock = clock;
  }

  void workBegins() {
    if (!working) {
      working = true;
      workingSince = clock.getAsLong();
    }
  }

  void workEnds() {
    worked = workNanos();
    working = false;
  }

  private long workNanos() {
    return working ? worked + clock.getAsLong() - workingSince : worked;
  }

  /**
   * The stages as they are now. No time is ever taken back, though two clocks are read one after
   * the other.
   *
   * @param busyNanos of each stage
   */
  List<StageTime> read(long[] busyNanos) {
    long work = workNanos();
    List<StageTime> stages = new ArrayList<>();
    for (int stage = 0; stage < busyNanos.length; stage++) {
      long before = last.isEmpty() ? 0 : last.get(stage).bubbleNanos();
      stages.add(new StageTime(busyNanos[stage], Math.max(before, work - busyNanos[stage])));
    }
    last = stages;
    return stages;
  }
}
