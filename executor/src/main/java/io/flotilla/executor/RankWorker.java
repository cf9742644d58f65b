package io.flotilla.executor;

import io.flotilla.kernels.Device;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * The thread of one rank. It builds the rank, runs plans in the order they come, and frees the rank
 * at the end. The replica's first failure, of this rank or of another, ends it, and every plan that
 * is waiting or still to come fails with it.
 */
final class RankWorker {
  /** Steps on the device at once: one that runs and one that waits for it. */
  private static final int MOST_STARTED = 2;

  private static final int POLL_MICROSECONDS = 20;

  private final BlockingQueue<Task> tasks = new LinkedBlockingQueue<>();
  private final ReplicaFailure failure;
  private final CountDownLatch running;
  private final CompletableFuture<Rank> ready = new CompletableFuture<>();
  private final Thread thread;
  private final Deque<Run> started = new ConcurrentLinkedDeque<>();

  private sealed interface Task {}

  private record Run(StepPlan plan, CompletableFuture<StepResult> result) implements Task {}

  private record Collect() implements Task {}

  private record Stop() implements Task {}

  /**
   * Starts the thread.
   *
   * @param device closed at the end, also when the rank could not be built
   * @param build runs on the thread; the arena is for host memory and ends with the rank
   * @param running counts the ranks of the replica that may still read each other's memory: no
   *     memory is freed before it is zero
   */
  RankWorker(
      String name,
      Device device,
      Function<Arena, Rank> build,
      ReplicaFailure failure,
      CountDownLatch running) {
    this.failure = failure;
    this.running = running;
    failure.onReport(this::obeyFailure);
    thread = Thread.ofPlatform().name(name).daemon().start(() -> live(device, build));
  }

  /** Completed once the rank is built, or with the cause when it could not be. */
  CompletableFuture<Rank> ready() {
    return ready;
  }

  /**
   * Queues a plan.
   *
   * @param result completed by the rank that answers, or with the replica's failure by any
   */
  void submit(StepPlan plan, CompletableFuture<StepResult> result) {
    tasks.add(new Run(plan, result));
    // A failure after the check drains the queue itself; one before has drained it already.
    if (failure.cause() != null) {
      failWaiting();
    }
  }

  /** The oldest step that runs, or -1. */
  long runningStep() {
    Run oldest = started.peek();
    return oldest == null ? -1 : oldest.plan.step();
  }

  /** What is to be reported when this rank is hung: with the thread's stack as it is now. */
  StepTimeoutException hung(Duration silence) {
    StepTimeoutException cause =
        new StepTimeoutException(
            "%s made no progress for %.1f s in step %d"
                .formatted(thread.getName(), silence.toMillis() / 1000.0, runningStep()));
    cause.setStackTrace(thread.getStackTrace());
    return cause;
  }

  /** Waits for the thread's end, but not for that of a hung one. */
  void join(Duration patience) {
    try {
      thread.join(patience);
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
  }

  private void live(Device device, Function<Arena, Rank> build) {
    try (device;
        Arena arena = Arena.ofConfined()) {
      device.attach();
      runRank(arena, build);
      running.await();
    } catch (Throwable cause) {
      failure.report(cause);
      ready.completeExceptionally(cause);
    }
  }

  private void runRank(Arena arena, Function<Arena, Rank> build) {
    try (Rank rank = build.apply(arena)) {
      ready.complete(rank);
      runTasks(rank);
    } catch (Throwable cause) {
      failure.report(cause);
      ready.completeExceptionally(cause);
    } finally {
      running.countDown();
    }
  }

  /**
   * One round starts the next plan, or collects the oldest that runs. A plan that is there is
   * started before the one ahead is done, so that the device need not wait for the host.
   */
  private void runTasks(Rank rank) throws InterruptedException {
    Deque<PendingStep> pending = new ArrayDeque<>();
    while (failure.cause() == null) {
      switch (nextTask(pending)) {
        case Run run -> {
          started.add(run);
          if (failure.cause() == null) {
            pending.add(rank.launch(run.plan));
          }
        }
        case Collect() -> {
          collect(pending.remove());
          if (pending.isEmpty()) {
            rank.rest();
          }
        }
        case Stop() -> {
          return;
        }
      }
    }
    // What came between the look above and the note that it runs has not heard of the failure.
    failStarted();
  }

  private void collect(PendingStep oldest) {
    oldest.mark().await();
    StepResult result = oldest.collect().get();
    Run run = started.remove();
    Throwable cause = failure.cause();
    if (cause != null) {
      // The device's waits end then too, and what it computed is worth nothing.
      run.result.completeExceptionally(cause);
    } else if (result != null) {
      run.result.complete(result);
    }
  }

  /** Waits for a plan, or for the oldest step to be done where one runs. */
  private Task nextTask(Deque<PendingStep> pending) throws InterruptedException {
    PendingStep oldest = pending.peek();
    if (oldest == null) {
      return tasks.take();
    }
    while (pending.size() < MOST_STARTED && !oldest.mark().isPassed()) {
      Task task = tasks.poll(POLL_MICROSECONDS, TimeUnit.MICROSECONDS);
      if (task != null) {
        return task;
      }
    }
    return new Collect();
  }

  private void failStarted() {
    started.forEach(run -> run.result.completeExceptionally(failure.requireCause()));
  }

  private void obeyFailure() {
    failStarted();
    failWaiting();
    tasks.add(new Stop());
  }

  private void failWaiting() {
    for (Task task = tasks.poll(); task != null; task = tasks.poll()) {
      if (task instanceof Run run) {
        run.result.completeExceptionally(failure.requireCause());
      }
    }
  }
}
