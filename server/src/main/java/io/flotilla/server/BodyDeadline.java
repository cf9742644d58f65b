package io.flotilla.server;

import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Cuts the connection of a client that takes too long to send its request's body, so that it holds
 * neither thread nor memory.
 */
final class BodyDeadline implements AutoCloseable {
  private static final long SECONDS = 60;

  private final ScheduledThreadPoolExecutor timer =
      new ScheduledThreadPoolExecutor(
          1, Thread.ofPlatform().name("body-deadline").daemon().factory());

  BodyDeadline() {
    timer.setRemoveOnCancelPolicy(true);
  }

  /** Starts a body's time; cancelling the result ends it. */
  Future<?> start(Connection connection) {
    return timer.schedule(connection::close, SECONDS, TimeUnit.SECONDS);
  }

  @Override
  public void close() {
    timer.shutdownNow();
  }
}
