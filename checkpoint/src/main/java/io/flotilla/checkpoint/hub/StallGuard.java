package io.flotilla.checkpoint.hub;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;

/** Closes a stream that has given nothing for too long: the HTTP client bounds headers alone. */
final class StallGuard implements AutoCloseable {
  private final InputStream stream;
  private final Duration limit;
  private final Thread thread;
  private volatile long lastProgress = System.nanoTime();

  StallGuard(InputStream stream, Duration limit) {
    this.stream = stream;
    this.limit = limit;
    this.thread = Thread.ofVirtual().name("download-stall-guard").start(this::watch);
  }

  /** Says that bytes came. */
  void progress() {
    lastProgress = System.nanoTime();
  }

  private void watch() {
    try {
      while (System.nanoTime() - lastProgress < limit.toNanos()) {
        Thread.sleep(limit.dividedBy(4));
      }
      stream.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // The download ended first.
    } catch (IOException e) {
      // The reader sees the same failure.
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
