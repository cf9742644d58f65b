package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.CollectiveAbortedException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * How one rank's thread waits for others: it spins for a while (ranks that do the same work arrive
 * within microseconds of each other) and then parks.
 *
 * <p>Parking loses no wake-up: the waiting thread announces that it parks and then looks at the
 * condition once more, while another makes the condition true and then looks for the announcement,
 * all sequentially consistent, so that one sees the other.
 */
final class Waiter {
  /** A parked thread looks at the abort signal this often, since nobody unparks it for that. */
  private static final long ABORT_POLL_NANOS = 2_000_000;

  private final long spinNanos;
  private final AbortSignal abort;
  private volatile @Nullable Thread parked;
  private volatile boolean waiting;

  Waiter(long spinNanos, AbortSignal abort) {
    this.spinNanos = spinNanos;
    this.abort = abort;
  }

  /**
   * Waits until the condition holds.
   *
   * @param ready reads volatile memory; whoever makes it true then calls {@link #wake}
   * @throws CollectiveAbortedException when the signal is raised before
   */
  void await(BooleanSupplier ready) {
    long start = System.nanoTime();
    while (!ready.getAsBoolean()) {
      if (abort.isRaised()) {
        throw new CollectiveAbortedException();
      }
      if (System.nanoTime() - start < spinNanos) {
        Thread.onSpinWait();
      } else {
        park(ready);
      }
    }
    waiting = false;
  }

  private void park(BooleanSupplier ready) {
    waiting = true;
    parked = Thread.currentThread();
    if (!ready.getAsBoolean()) {
      LockSupport.parkNanos(this, ABORT_POLL_NANOS);
    }
    parked = null;
  }

  /** Lets the rank look at its condition, if it has parked. Any thread. */
  void wake() {
    Thread thread = parked;
    if (thread != null) {
      LockSupport.unpark(thread);
    }
  }

  /** Whether the rank has waited for longer than it spins, and still does. Any thread. */
  boolean isWaiting() {
    return waiting;
  }
}
