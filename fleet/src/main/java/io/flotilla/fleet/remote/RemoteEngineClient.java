package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineListener;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.fleet.EngineClient;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.fleet.remote.Report.Loading;
import io.flotilla.fleet.remote.Report.Ready;
import io.flotilla.fleet.remote.Report.SequenceEnded;
import io.flotilla.fleet.remote.Report.StepApplied;
import io.flotilla.fleet.remote.Report.Told;
import io.flotilla.fleet.remote.Report.TurnEnded;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A replica in a process of its own, which is started again whenever it ends unasked.
 *
 * <p>A process has ended when its connection has: a process that dies takes it along, one whose
 * replica fails says so and closes it. The sequences it had fail with the cause; new ones fail at
 * once until the next process is ready. Between two starts is a pause that doubles from one second
 * to a minute, and is short again after a minute of service. Only the first start must succeed.
 */
public final class RemoteEngineClient implements EngineClient {
  private static final Logger LOG = LoggerFactory.getLogger(RemoteEngineClient.class);

  private final List<String> command;
  private final EngineListener listener;
  private final WeightsListener progress;
  private final RestartPause pause = new RestartPause();
  private final CompletableFuture<Integer> firstReady = new CompletableFuture<>();
  private final Thread supervisor;

  private volatile @Nullable ReplicaConnection connection;
  private volatile boolean ready;
  private volatile boolean draining;
  private volatile boolean closed;
  private volatile boolean ended;
  private volatile @Nullable ReplicaLostException failure;
  private final AtomicInteger restarts = new AtomicInteger();
  private volatile EngineStatistics statistics = EngineStatistics.none();

  // Of the supervisor's thread.
  private EngineStatistics earlier = EngineStatistics.none();
  private @Nullable String reported;
  private long startedAt;

  private RemoteEngineClient(
      List<String> command, EngineListener listener, WeightsListener progress) {
    this.command = List.copyOf(command);
    this.listener = listener;
    this.progress = progress;
    this.supervisor =
        Thread.ofPlatform().name("replica-supervisor").daemon().unstarted(this::supervise);
  }

  /**
   * Starts a process and returns at once.
   *
   * @param command its command line, which ends up in {@link ReplicaHost}
   * @param listener hears of the engine, on a thread of the connection
   * @param progress hears of the first start
   */
  public static RemoteEngineClient start(
      List<String> command, EngineListener listener, WeightsListener progress) {
    RemoteEngineClient client = new RemoteEngineClient(command, listener, progress);
    client.supervisor.start();
    return client;
  }

  /**
   * Waits until the replica serves.
   *
   * @return tokens of prompt and output of one sequence at most
   * @throws ReplicaLostException when it cannot start
   */
  public int awaitReady() throws InterruptedException {
    try {
      return firstReady.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof ReplicaLostException lost ? lost : new IllegalStateException(e);
    }
  }

  private void supervise() {
    try {
      String cause = serveOnce();
      if (!firstReady.isDone()) {
        failure = new ReplicaLostException(cause);
        firstReady.completeExceptionally(new ReplicaLostException(cause));
        return;
      }
      while (!closed && !draining) {
        restart(cause);
        cause = serveOnce();
      }
    } catch (InterruptedException _) {
      LOG.debug("The replica was closed");
    } finally {
      ended = true;
      firstReady.completeExceptionally(new ReplicaLostException("the replica was closed"));
    }
  }

  private void restart(String cause) throws InterruptedException {
    long seconds = pause.next(System.nanoTime());
    LOG.error("The replica failed, and is started again in {} s: {}", seconds, cause);
    lose(cause);
    Thread.sleep(seconds * 1000);
    restarts.incrementAndGet();
  }

  /**
   * The life of a process.
   *
   * @return why it ended
   */
  private String serveOnce() throws InterruptedException {
    startedAt = System.nanoTime();
    reported = null;
    try (ReplicaProcess process = ReplicaProcess.start(command)) {
      try (ReplicaConnection open = new ReplicaConnection(process.connection())) {
        return serve(open, process);
      }
    } catch (IOException e) {
      return String.valueOf(e.getMessage());
    }
  }

  private String serve(ReplicaConnection open, ReplicaProcess process) throws InterruptedException {
    connection = open;
    String broken = null;
    try {
      if (!closed) {
        open.listen(this::hear);
      }
    } catch (IOException e) {
      broken = e.getMessage();
    }
    lose("its connection broke");
    String cause = "the engine was closed";
    try {
      if (!closed) {
        cause = cause(process, broken);
        lose(cause);
      }
    } finally {
      open.end(cause);
    }
    return cause;
  }

  private void lose(String cause) {
    ready = false;
    earlier = statistics.ofTheDead();
    statistics = earlier;
    if (!closed && !draining) {
      failure = new ReplicaLostException("the replica failed, and is started again: " + cause);
    }
  }

  private String cause(ReplicaProcess process, @Nullable String broken)
      throws InterruptedException {
    if (reported != null) {
      return reported;
    }
    String end = process.describeEnd();
    return broken == null ? end : end + " (" + broken + ")";
  }

  private void hear(Report report) {
    switch (report) {
      case Loading(long bytes, long total) -> loading(bytes, total);
      case Ready(int length, EngineStatistics now) -> begin(length, now);
      case StepApplied(int tokens) -> listener.stepApplied(tokens);
      case SequenceEnded(EngineListener.SequenceTimes times) -> listener.sequenceEnded(times);
      case TurnEnded(EngineStatistics now) -> {
        statistics = now.after(earlier);
        listener.turnEnded(statistics);
      }
      case Report.Failed(String cause) -> reported = cause;
      case Told _ -> throw new IllegalStateException("events are for sinks");
    }
  }

  /** Nobody waits for a later start. */
  private void loading(long bytes, long total) {
    if (!firstReady.isDone()) {
      progress.onWeights(bytes, total);
    }
  }

  private void begin(int maxModelLength, EngineStatistics now) {
    statistics = now.after(earlier);
    failure = null;
    ready = true;
    pause.served(System.nanoTime());
    if (!firstReady.complete(maxModelLength)) {
      LOG.info("The replica serves again, {} s after its start", seconds());
    }
    if (draining) {
      drain();
    }
  }

  private long seconds() {
    return (System.nanoTime() - startedAt) / 1_000_000_000;
  }

  @Override
  public void submit(Submit submit) {
    ReplicaConnection open = connection;
    if (!ready || open == null || !open.submit(submit)) {
      submit.sink().accept(refusal(submit.id()));
    }
  }

  private Failed refusal(long id) {
    ReplicaLostException cause = failure;
    return cause == null
        ? new Failed(id, FailureCode.DRAINING, "the engine takes no more work")
        : new Failed(id, FailureCode.REPLICA_FAILED, String.valueOf(cause.getMessage()));
  }

  @Override
  public void abort(long id) {
    ReplicaConnection open = connection;
    if (ready && open != null) {
      open.send(new Abort(id));
    }
  }

  /** A replica that is not ready has nothing to finish. */
  @Override
  public void drain() {
    draining = true;
    ReplicaConnection open = connection;
    if (ready && open != null) {
      open.send(new Drain());
    } else {
      supervisor.interrupt();
    }
  }

  @Override
  public EngineStatus status() {
    return new EngineStatus(failure, ended, statistics, restarts.get());
  }

  @Override
  public void close() {
    closed = true;
    ReplicaConnection open = connection;
    if (open != null) {
      open.close();
    }
    supervisor.interrupt();
    boolean interrupted = false;
    while (supervisor.isAlive()) {
      try {
        supervisor.join();
      } catch (InterruptedException _) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
