package io.flotilla.executor;

import java.time.Duration;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Tells a hung step from a slow one: dead means no progress for two seconds or four times the
 * longest silence seen in a step that went on, whichever is longer. The first step, in which code
 * is compiled and weights are read from disk, has a minute.
 *
 * <p>Time in which the watchdog itself did not run (a suspended machine, a paused JVM) does not
 * count.
 */
final class StepWatchdog {
  static final Duration PERIOD = Duration.ofMillis(100);
  private static final long LEAST_LIMIT = Duration.ofSeconds(2).toNanos();
  private static final long FIRST_LIMIT = Duration.ofMinutes(1).toNanos();
  private static final int FACTOR = 4;

  private final LongSupplier nanoClock;
  private long lastPoll;
  private long lastStep = -1;
  private long lastProgress;
  private long silence;
  private long longestSilence;
  private boolean firstStepDone;

  StepWatchdog(LongSupplier nanoClock) {
    this.nanoClock = nanoClock;
    this.lastPoll = nanoClock.getAsLong();
  }

  /**
   * Looks at the ranks; to be called every {@link #PERIOD}.
   *
   * @param step the step that runs, or -1
   * @param progress see {@link Executor#progress}
   * @return how long the step has been silent, when that is too long; else null
   */
  @Nullable Duration poll(long step, long progress) {
    long now = nanoClock.getAsLong();
    long passed = Math.min(now - lastPoll, 2 * PERIOD.toNanos());
    lastPoll = now;
    if (step != lastStep) {
      firstStepDone |= lastStep >= 0;
      lastStep = step;
      lastProgress = progress;
      silence = 0;
    } else if (progress != lastProgress) {
      longestSilence = Math.max(longestSilence, silence);
      lastProgress = progress;
      silence = 0;
    } else if (step >= 0) {
      silence += passed;
    }
    return silence > limit() ? Duration.ofNanos(silence) : null;
  }

  private long limit() {
    return firstStepDone ? Math.max(LEAST_LIMIT, FACTOR * longestSilence) : FIRST_LIMIT;
  }
}
