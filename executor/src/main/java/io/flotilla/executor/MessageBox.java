package io.flotilla.executor;

import io.flotilla.executor.wire.Frame;
import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.CollectiveAbortedException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Messages of one rank of another node to one of this, as they have come. */
final class MessageBox {
  /** Nobody wakes a waiting rank for the abort signal. */
  private static final long ABORT_POLL_MILLIS = 2;

  private final BlockingQueue<Frame> frames = new LinkedBlockingQueue<>();
  private volatile boolean waiting;

  void add(Frame frame) {
    frames.add(frame);
  }

  /**
   * Waits for the next message, which the caller releases.
   *
   * @throws CollectiveAbortedException when the signal is raised before
   */
  Frame await(AbortSignal abort) {
    Frame next = frames.poll();
    waiting = next == null;
    while (next == null) {
      if (abort.isRaised()) {
        throw new CollectiveAbortedException();
      }
      try {
        next = frames.poll(ABORT_POLL_MILLIS, TimeUnit.MILLISECONDS);
      } catch (InterruptedException _) {
        Thread.currentThread().interrupt();
        throw new CollectiveAbortedException();
      }
    }
    waiting = false;
    return next;
  }

  /** Whether a rank waits for a message now. Any thread. */
  boolean isWaiting() {
    return waiting;
  }
}
