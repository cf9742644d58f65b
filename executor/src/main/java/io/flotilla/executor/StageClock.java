package io.flotilla.executor;

import java.util.function.LongSupplier;

/**
 * How long a rank has computed: from the start of a step to its end, without the time in which it
 * waited for another stage. Written by the rank's thread, read by any.
 */
final class StageClock {
  private final LongSupplier nanoClock;
  private volatile Reading reading = new Reading(0, 0, false);

  /**
   * @param before nanoseconds until {@code since}
   */
  private record Reading(long before, long since, boolean running) {
    long at(long now) {
      return running ? before + Math.max(0, now - since) : before;
    }
  }

  StageClock(LongSupplier nanoClock) {
    this.nanoClock = nanoClock;
  }

  /** The rank computes from now on. */
  void start() {
    if (!reading.running) {
      reading = new Reading(reading.before, nanoClock.getAsLong(), true);
    }
  }

  /** The rank waits from now on. */
  void stop() {
    reading = new Reading(nanos(), 0, false);
  }

  /** Nanoseconds so far. */
  long nanos() {
    return reading.at(nanoClock.getAsLong());
  }
}
