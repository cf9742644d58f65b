package io.flotilla.fleet.remote;

/**
 * How long to wait before a replica is started again, in seconds: 1, 2, 4 and so on, 60 at most.
 */
final class RestartPause {
  private static final long MOST = 60;
  private static final long NANOS = 1_000_000_000;

  private long seconds = 1;
  private long servedSince = -1;

  /** The replica serves from now on. */
  void served(long nanoTime) {
    servedSince = nanoTime;
  }

  /** The replica has ended; what it served as long as the longest pause is forgiven. */
  long next(long nanoTime) {
    if (servedSince >= 0 && nanoTime - servedSince > MOST * NANOS) {
      seconds = 1;
    }
    servedSince = -1;
    long pause = seconds;
    seconds = Math.min(MOST, 2 * seconds);
    return pause;
  }
}
