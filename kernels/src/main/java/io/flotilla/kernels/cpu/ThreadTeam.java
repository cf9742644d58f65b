package io.flotilla.kernels.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A fixed set of threads that share the tiles of one operation after another. The thread that calls
 * {@link #run} is worker 0; the others wait for it, spinning for a while (operations of a step
 * follow each other within microseconds) and then parked.
 *
 * <p>Every call makes a {@link Job} with its own counters, and workers take tiles from the job they
 * saw. A worker that wakes too late finds its job used up and can never take a tile of the next
 * one, so that nobody waits for a worker that does nothing. A call returns once its tiles are
 * counted as finished.
 *
 * <p>Parking loses no wake-up: a worker announces that it parks and then looks for a job once more,
 * while the caller publishes the job and then looks for announcements, all sequentially consistent,
 * so that one sees the other. The caller waits for the last tile in the same way.
 */
final class ThreadTeam implements AutoCloseable {
  static final long SPIN_NANOS = 500_000;

  /** Counters of different workers are this far apart, not to share a cache line or its pair. */
  private static final int COUNTER_STRIDE = 16;

  private final Worker[] workers;
  private final AtomicLongArray finishedTiles;
  private final long spinNanos;
  private final Runnable entrance;
  private volatile Job job = new Job(0, (_, _) -> {}, 0);
  private volatile boolean closed;

  /** What a tile does. Tiles of one call run at the same time and in any order. */
  @FunctionalInterface
  interface TileBody {
    /**
     * @param tile from 0 to the number of tiles
     * @param worker from 0 to the number of threads; no other tile runs with the same number now
     */
    void run(int tile, int worker);
  }

  /**
   * @param threads with the caller's, at least 1
   * @throws IllegalArgumentException when there is not even the caller's
   */
  ThreadTeam(int threads) {
    this(threads, SPIN_NANOS, () -> {});
  }

  /**
   * @param threads with the caller's, at least 1
   * @param spinNanos how long a thread spins before it parks
   * @param entrance what each thread but the caller's does first
   * @throws IllegalArgumentException when there is not even the caller's
   */
  ThreadTeam(int threads, long spinNanos, Runnable entrance) {
    if (threads < 1) {
      throw new IllegalArgumentException("a team of " + threads + " threads; it needs at least 1");
    }
    this.spinNanos = spinNanos;
    this.entrance = entrance;
    this.finishedTiles = new AtomicLongArray((threads + 1) * COUNTER_STRIDE);
    this.workers = new Worker[threads - 1];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker(i + 1, job);
    }
    for (Worker worker : workers) {
      worker.thread.start();
    }
  }

  /** Threads, the caller's included. */
  int threads() {
    return workers.length + 1;
  }

  /**
   * Runs {@code body} once for each tile and returns when all have run. One call at a time, and
   * none from inside a tile. When tiles throw, those not yet begun are left out and the first
   * exception is thrown here once no tile runs any more; the team stays usable.
   *
   * @throws IllegalStateException when the team was closed before
   */
  void run(int tiles, TileBody body) {
    if (closed) {
      throw new IllegalStateException("the team of threads is closed");
    }
    if (tiles <= 1 || workers.length == 0) {
      for (int tile = 0; tile < tiles; tile++) {
        body.run(tile, 0);
        countFinished(0);
      }
      return;
    }
    Job next = new Job(tiles, body, spinNanos);
    job = next;
    wake(Math.min(tiles - 1, workers.length));
    work(next, 0);
    next.awaitLastTile();
    next.rethrow();
  }

  /** Tiles finished since the team was made. Readable from any thread. */
  long progress() {
    long sum = 0;
    for (int worker = 0; worker < threads(); worker++) {
      sum += finishedTiles.getOpaque((worker + 1) * COUNTER_STRIDE);
    }
    return sum;
  }

  /** Ends the threads. A call of {@link #run} that has begun still finishes all of its tiles. */
  @Override
  public void close() {
    closed = true;
    wake(workers.length);
  }

  private void wake(int count) {
    for (int i = 0; i < count; i++) {
      if (workers[i].parked) {
        LockSupport.unpark(workers[i].thread);
      }
    }
  }

  private void work(Job current, int worker) {
    int taken = 0;
    for (int tile = current.take(); tile < current.tiles; tile = current.take()) {
      taken++;
      if (current.failed()) {
        continue;
      }
      try {
        current.body.run(tile, worker);
        countFinished(worker);
      } catch (Throwable failure) {
        // Whatever it is, the caller has to hear of it, and this thread has to stay.
        current.fail(failure);
      }
    }
    current.finish(taken);
  }

  /** Only the worker itself writes its counter, so that no atomic addition is needed. */
  private void countFinished(int worker) {
    int counter = (worker + 1) * COUNTER_STRIDE;
    finishedTiles.setOpaque(counter, finishedTiles.getPlain(counter) + 1);
  }

  private final class Worker implements Runnable {
    private final int number;
    private final Thread thread;
    private Job last;
    private volatile boolean parked;

    Worker(int number, Job last) {
      this.number = number;
      this.last = last;
      this.thread = Thread.ofPlatform().daemon().name("flotilla-cpu-" + number).unstarted(this);
    }

    @Override
    public void run() {
      entrance.run();
      while (awaitJob()) {
        last = job;
        work(last, number);
      }
    }

    /** Whether there is a job; false when the team is closed. */
    private boolean awaitJob() {
      long start = System.nanoTime();
      while (idle()) {
        if (System.nanoTime() - start < spinNanos) {
          Thread.onSpinWait();
        } else {
          park();
        }
      }
      return !closed;
    }

    private boolean idle() {
      return job == last && !closed;
    }

    private void park() {
      parked = true;
      if (idle()) {
        LockSupport.park(ThreadTeam.this);
      }
      parked = false;
    }
  }

  /** One call of {@link #run}. */
  private static final class Job {
    private final int tiles;
    private final TileBody body;
    private final long spinNanos;
    private final AtomicInteger nextTile = new AtomicInteger();
    private final AtomicInteger finished = new AtomicInteger();
    private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    private volatile @Nullable Thread waiting;

    Job(int tiles, TileBody body, long spinNanos) {
      this.tiles = tiles;
      this.body = body;
      this.spinNanos = spinNanos;
    }

    /** A tile nobody else has; {@code tiles} or more when there is none. */
    int take() {
      return nextTile.getAndIncrement();
    }

    void finish(int count) {
      if (count > 0 && finished.addAndGet(count) == tiles) {
        // Null is fine: the caller does not wait or has not parked.
        LockSupport.unpark(waiting);
      }
    }

    void awaitLastTile() {
      long start = System.nanoTime();
      while (finished.get() < tiles) {
        if (System.nanoTime() - start < spinNanos) {
          Thread.onSpinWait();
        } else if (waiting == null) {
          waiting = Thread.currentThread();
        } else {
          LockSupport.park(this);
        }
      }
    }

    boolean failed() {
      return failure.get() != null;
    }

    void fail(Throwable thrown) {
      failure.compareAndSet(null, thrown);
    }

    void rethrow() {
      switch (failure.get()) {
        case null -> {}
        case RuntimeException exception -> throw exception;
        case Error error -> throw error;
        case Throwable thrown -> throw new IllegalStateException("a tile failed", thrown);
      }
    }
  }
}
