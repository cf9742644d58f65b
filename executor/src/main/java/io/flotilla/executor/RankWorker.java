package io.flotilla.executor;

import io.flotilla.kernels.Device;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The thread of one rank. It builds the rank, runs plans in the order they come, and frees the rank
 * at the end. The replica's first failure, of this rank or of another, ends it, and every plan that
 * is waiting or still to come fails with it.
 */
final class RankWorker {
  private final BlockingQueue<Task> tasks = new LinkedBlockingQueue<>();
  private final ReplicaFailure failure;
  private final CountDownLatch running;
  private final CompletableFuture<Rank> ready = new CompletableFuture<>();
  private final Thread thread;
  private volatile @Nullable Run current;

  private sealed interface Task {}

  private record Run(StepPlan plan, CompletableFuture<StepResult> result) implements Task {}

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

  /** The step that runs, or -1. */
  long runningStep() {
    Run run = current;
    return run == null ? -1 : run.plan.step();
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
      ready.completeExceptionally(cause);
      failure.report(cause);
    }
  }

  private void runRank(Arena arena, Function<Arena, Rank> build) {
    try (Rank rank = build.apply(arena)) {
      ready.complete(rank);
      runTasks(rank);
    } catch (Throwable cause) {
      ready.completeExceptionally(cause);
      failure.report(cause);
    } finally {
      running.countDown();
    }
  }

  private void runTasks(Rank rank) throws InterruptedException {
    while (failure.cause() == null && tasks.take() instanceof Run run) {
      current = run;
      if (failure.cause() != null) {
        // It came between the look above and the note that this plan runs.
        run.result.completeExceptionally(failure.requireCause());
        return;
      }
      StepResult result = rank.run(run.plan);
      current = null;
      if (result != null) {
        run.result.complete(result);
      }
    }
  }

  private void obeyFailure() {
    Run run = current;
    if (run != null) {
      run.result.completeExceptionally(failure.requireCause());
    }
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
