package io.flotilla.executor;

import io.flotilla.kernels.Device;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The thread of one rank. It builds the rank, runs plans in the order they come, and frees the rank
 * at the end. The first failure ends it, and every plan that is waiting or still to come fails with
 * it.
 */
final class RankWorker {
  /** Steps on the device at once: one that runs and one that waits for it. */
  private static final int MOST_STARTED = 2;

  private static final int POLL_MICROSECONDS = 20;

  private final BlockingQueue<Task> tasks = new LinkedBlockingQueue<>();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final CompletableFuture<Rank> ready = new CompletableFuture<>();
  private final Thread thread;
  private final Deque<Run> running = new ConcurrentLinkedDeque<>();

  private sealed interface Task {}

  private record Run(StepPlan plan, CompletableFuture<StepResult> result) implements Task {}

  private record Collect() implements Task {}

  private record Stop() implements Task {}

  /**
   * Starts the thread.
   *
   * @param device closed at the end, also when the rank could not be built
   * @param build runs on the thread; the arena is for host memory and ends with the rank
   */
  RankWorker(String name, Device device, Function<Arena, Rank> build) {
    thread = Thread.ofPlatform().name(name).daemon().start(() -> live(device, build));
  }

  /**
   * Waits until the rank is built.
   *
   * @throws java.util.concurrent.CompletionException with the cause, when it could not be
   */
  Rank awaitRank() {
    return ready.join();
  }

  CompletableFuture<StepResult> submit(StepPlan plan) {
    Run run = new Run(plan, new CompletableFuture<>());
    tasks.add(run);
    // A failure after the check drains the queue itself; one before has drained it already.
    if (failure.get() != null) {
      failWaiting();
    }
    return run.result;
  }

  /** The oldest step that runs, or -1. */
  long runningStep() {
    Run oldest = running.peek();
    return oldest == null ? -1 : oldest.plan.step();
  }

  @Nullable Throwable failure() {
    return failure.get();
  }

  /** The rank is hung: fails it, with the thread's stack as it is now. */
  void failHung(Duration silence) {
    StepTimeoutException cause =
        new StepTimeoutException(
            "%s made no progress for %.1f s in step %d"
                .formatted(thread.getName(), silence.toMillis() / 1000.0, runningStep()));
    cause.setStackTrace(thread.getStackTrace());
    fail(cause);
  }

  /** Ends the rank: waiting plans fail. Waits for the step that runs, but not for a hung one. */
  void stop(Duration patience) {
    fail(new IllegalStateException("the executor was closed"));
    try {
      thread.join(patience);
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
  }

  private void live(Device device, Function<Arena, Rank> build) {
    try (device;
        Arena arena = Arena.ofConfined();
        Rank rank = build.apply(arena)) {
      ready.complete(rank);
      runTasks(rank);
    } catch (Throwable cause) {
      ready.completeExceptionally(cause);
      fail(cause);
    }
  }

  /**
   * One round starts the next plan, or collects the oldest that runs. A plan that is there is
   * started before the one ahead is done, so that the device need not wait for the host.
   */
  private void runTasks(Rank rank) throws InterruptedException {
    Deque<PendingStep> started = new ArrayDeque<>();
    while (failure.get() == null) {
      switch (nextTask(started)) {
        case Run run -> {
          running.add(run);
          if (failure.get() == null) {
            started.add(rank.launch(run.plan));
          }
        }
        case Collect() -> {
          PendingStep oldest = started.remove();
          oldest.mark().await();
          StepResult result = oldest.collect().get();
          Run run = running.peek();
          if (failure.get() == null && run != null) {
            running.remove();
            run.result.complete(result);
          }
        }
        case Stop() -> {
          return;
        }
      }
    }
    // What came between the look above and the note that it runs has not heard of the failure.
    failRunning();
  }

  /** Waits for a plan, or for the oldest step to be done where one runs. */
  private Task nextTask(Deque<PendingStep> started) throws InterruptedException {
    PendingStep oldest = started.peek();
    if (oldest == null) {
      return tasks.take();
    }
    while (started.size() < MOST_STARTED && !oldest.mark().isPassed()) {
      Task task = tasks.poll(POLL_MICROSECONDS, TimeUnit.MICROSECONDS);
      if (task != null) {
        return task;
      }
    }
    return new Collect();
  }

  private void fail(Throwable cause) {
    failure.compareAndSet(null, cause);
    failRunning();
    failWaiting();
    tasks.add(new Stop());
  }

  private void failRunning() {
    running.forEach(run -> run.result.completeExceptionally(firstCause()));
  }

  private Throwable firstCause() {
    return Objects.requireNonNull(failure.get());
  }

  private void failWaiting() {
    for (Task task = tasks.poll(); task != null; task = tasks.poll()) {
      if (task instanceof Run run) {
        run.result.completeExceptionally(firstCause());
      }
    }
  }
}
