package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.CollectiveAbortedException;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.BooleanSupplier;

/**
 * Where the threads of a group's ranks wait for each other. What a rank wrote before it arrived at
 * a meeting, all others see after it.
 */
public final class Meetings {
  /** Counters of different ranks are this far apart, not to share a cache line or its pair. */
  private static final int STRIDE = 16;

  private final AtomicLongArray arrivals;
  private final Waiter[] waiters;

  /**
   * @param spinNanos of each rank: how long it spins before it parks
   * @param abort ends every wait
   */
  public Meetings(long[] spinNanos, AbortSignal abort) {
    this.arrivals = new AtomicLongArray((spinNanos.length + 1) * STRIDE);
    this.waiters = new Waiter[spinNanos.length];
    for (int rank = 0; rank < waiters.length; rank++) {
      waiters[rank] = new Waiter(spinNanos[rank], abort);
    }
  }

  /** Ranks of the group. */
  public int size() {
    return waiters.length;
  }

  Waiter waiter(int rank) {
    return waiters[rank];
  }

  /** Whether the rank has waited for longer than it spins, and still does. Any thread. */
  public boolean isWaiting(int rank) {
    return waiters[rank].isWaiting();
  }

  /**
   * Waits until every rank has arrived at a meeting.
   *
   * @param meeting counts up by one, on every rank
   * @throws CollectiveAbortedException when the signal is raised before
   */
  public void meet(int rank, long meeting) {
    arrivals.set((rank + 1) * STRIDE, meeting);
    for (Waiter waiter : waiters) {
      waiter.wake();
    }
    await(rank, () -> haveArrived(meeting));
  }

  /**
   * Waits on a rank's thread for something of two ranks alone.
   *
   * @param ready reads volatile memory; whoever makes it true then calls {@link #wake}
   * @throws CollectiveAbortedException when the signal is raised before
   */
  public void await(int rank, BooleanSupplier ready) {
    if (!ready.getAsBoolean()) {
      waiters[rank].await(ready);
    }
  }

  /** Lets a rank that waits look again. */
  public void wake(int rank) {
    waiters[rank].wake();
  }

  private boolean haveArrived(long meeting) {
    for (int rank = 0; rank < waiters.length; rank++) {
      if (arrivals.get((rank + 1) * STRIDE) < meeting) {
        return false;
      }
    }
    return true;
  }
}
