package io.flotilla.engine;

import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.cache.BlockManager;
import io.flotilla.engine.schedule.PlannedStep;
import io.flotilla.engine.schedule.Scheduler;
import io.flotilla.engine.schedule.Sequence;
import io.flotilla.engine.schedule.StepLimits;
import io.flotilla.executor.Executor;
import io.flotilla.executor.StepResult;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The step loop of one replica. One thread runs it and owns every sequence; others send it
 * commands.
 *
 * <p>A turn obeys the commands that have come, plans a step and submits it, and once as many steps
 * are in flight as the executor wants, or nothing can be planned, applies the oldest. So the next
 * step is prepared while the ranks compute. With nothing to do the thread sleeps until a command
 * comes or the executor fails.
 *
 * <p>When the executor fails, every sequence ends with {@link FailureCode#REPLICA_FAILED} and the
 * first cause, and so does every later one.
 */
public final class Engine implements Runnable, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Engine.class);

  /** With nothing to do the engine looks this often whether its executor lives. */
  private static final int FAILURE_CHECK_MILLIS = 250;

  private static final String NO_MORE_WORK = "the engine takes no more work";

  private record Received(EngineCommand command, long nanos) {}

  private record InFlight(PlannedStep step, CompletableFuture<StepResult> result) {}

  private record Live(SequenceReporter reporter, Sequence sequence) {}

  private final Executor executor;
  private final EngineListener listener;
  private final LongSupplier clock;
  private final int contextLength;
  private final int maxHeld;
  private final BlockManager blocks;
  private final Scheduler scheduler;
  private final ArrayDeque<InFlight> inFlight = new ArrayDeque<>();
  private final Map<Long, Live> live = new HashMap<>();
  private final Bookkeeper bookkeeper = new Bookkeeper();
  private final PipelineClock stages;
  private boolean draining;
  private boolean checked = true;
  private long steps;

  private final BlockingQueue<Received> mailbox = new LinkedBlockingQueue<>();
  private final AtomicInteger held = new AtomicInteger();
  private volatile EngineStatistics statistics;
  private volatile @Nullable Throwable failure;
  private volatile boolean closed;
  private volatile boolean ended;

  /**
   * Makes an engine, which starts when a thread calls {@link #run}.
   *
   * @param executor stays the caller's to close, after the engine has ended
   * @throws IllegalArgumentException when the executor has fewer slots than the limits ask for
   */
  public Engine(Executor executor, EngineLimits limits, EngineListener listener) {
    this(executor, limits, listener, System::nanoTime);
  }

  Engine(Executor executor, EngineLimits limits, EngineListener listener, LongSupplier clock) {
    if (limits.maxSequences() > executor.maxSequences()) {
      throw new IllegalArgumentException(
          "--max-num-seqs %d is more than the %d slots of the executor"
              .formatted(limits.maxSequences(), executor.maxSequences()));
    }
    long capacity = (long) executor.kvBlocks() * executor.blockSize();
    this.executor = executor;
    this.listener = listener;
    this.clock = clock;
    this.contextLength = (int) Math.min(limits.maxModelLength(), capacity);
    this.maxHeld = (int) Math.min((long) limits.maxSequences() + limits.maxWaiting(), 1 << 30);
    this.blocks =
        new BlockManager(executor.kvBlocks(), executor.blockSize(), limits.prefixCaching());
    this.scheduler =
        new Scheduler(
            new StepLimits(
                contextLength,
                limits.maxSequences(),
                limits.maxBatchedTokens(),
                executor.topology().pipeline()),
            blocks);
    this.stages = new PipelineClock(clock);
    this.statistics = snapshot();
  }

  /**
   * Hands over a command. Any thread. A submission is refused at once, on the caller's thread, when
   * the engine holds as many as it may or has ended.
   */
  public void send(EngineCommand command) {
    if (command instanceof Submit submit && held.incrementAndGet() > maxHeld) {
      refuse(submit, FailureCode.OVERLOADED, "the engine holds %d requests".formatted(maxHeld));
      return;
    }
    mailbox.add(new Received(command, clock.getAsLong()));
    if (ended) {
      refuseRest();
    }
  }

  /** Serves until it is drained or closed. */
  @Override
  public void run() {
    try {
      serve();
    } catch (InterruptedException _) {
      LOG.warn("The engine was interrupted");
    } finally {
      failLive("the engine was closed");
      publish();
      ended = true;
      refuseRest();
    }
  }

  /** Ends the engine after the current turn; sequences that live fail. Any thread. */
  @Override
  public void close() {
    closed = true;
    send(new Drain());
  }

  /** The engine's counts. Any thread. */
  public EngineStatistics statistics() {
    return statistics;
  }

  /** The first cause of the replica's failure, or null. Any thread. */
  public @Nullable Throwable failure() {
    return failure;
  }

  /** Whether it was drained or closed, and takes no more work. Any thread. */
  public boolean ended() {
    return ended;
  }

  // A defect of the loop is a failure of the replica, like one of the executor.
  private void serve() throws InterruptedException {
    try {
      while (!isFinished()) {
        awaitWork();
        step();
      }
    } catch (RuntimeException | Error cause) {
      fail(cause);
      while (!closed && !draining) {
        obey(mailbox.take());
        publish();
      }
    }
  }

  /** One turn. */
  void step() {
    obeyAll();
    PlannedStep planned = scheduler.plan();
    if (planned != null) {
      inFlight.addLast(new InFlight(planned, executor.submit(planned.plan())));
    }
    if (planned == null || inFlight.size() >= executor.maxStepsInFlight()) {
      applyOldest();
    }
    publish();
  }

  /** Whether nothing is left to do before a command comes. */
  boolean isIdle() {
    return scheduler.isIdle() && inFlight.isEmpty() && mailbox.isEmpty();
  }

  /**
   * Checks blocks and slots.
   *
   * @throws IllegalStateException naming what is wrong
   */
  void checkInvariants() {
    scheduler.checkInvariants();
  }

  private boolean isFinished() {
    return closed || (draining && scheduler.isIdle() && inFlight.isEmpty());
  }

  private void awaitWork() throws InterruptedException {
    if (!isIdle()) {
      checked = false;
      return;
    }
    if (!checked) {
      checkInvariants();
      checked = true;
    }
    stages.workEnds();
    Received next = mailbox.poll(FAILURE_CHECK_MILLIS, TimeUnit.MILLISECONDS);
    while (next == null) {
      requireAlive();
      next = mailbox.poll(FAILURE_CHECK_MILLIS, TimeUnit.MILLISECONDS);
    }
    stages.workBegins();
    obey(next);
  }

  /** A replica on several hosts can fail without a step that tells. */
  private void requireAlive() {
    Throwable cause = executor.failure();
    if (cause != null) {
      throw new IllegalStateException("the executor failed", cause);
    }
  }

  private void applyOldest() {
    InFlight oldest = inFlight.pollFirst();
    if (oldest != null) {
      scheduler.apply(oldest.step(), oldest.result().join());
      steps++;
      listener.stepApplied(oldest.step().plan().tokenCount());
    } else if (!scheduler.isIdle()) {
      throw new IllegalStateException(
          "no step can be planned for %d running and %d waiting sequences"
              .formatted(scheduler.running(), scheduler.waiting()));
    }
  }

  private void obeyAll() {
    for (Received next = mailbox.poll(); next != null; next = mailbox.poll()) {
      obey(next);
    }
  }

  private void obey(Received received) {
    switch (received.command()) {
      case Submit submit -> accept(submit, received.nanos());
      case Abort(long id) -> abort(id);
      case Drain() -> draining = true;
    }
  }

  private void accept(Submit submit, long arrived) {
    Throwable cause = failure;
    if (cause != null) {
      refuse(submit, FailureCode.REPLICA_FAILED, describe(cause));
    } else if (draining) {
      refuse(submit, FailureCode.DRAINING, NO_MORE_WORK);
    } else if (submit.prompt().length >= contextLength) {
      refuse(
          submit,
          FailureCode.TOO_LONG,
          "the prompt has %d tokens; prompt and output together may have %d"
              .formatted(submit.prompt().length, contextLength));
    } else {
      start(submit, arrived);
    }
  }

  private void start(Submit submit, long arrived) {
    SequenceReporter reporter = new SequenceReporter(submit, arrived, clock, listener, bookkeeper);
    Sequence sequence =
        scheduler.newSequence(
            submit.prompt(),
            submit.generated(),
            submit.sampling(),
            submit.maxTokens(),
            submit.cacheSalt(),
            reporter);
    live.put(submit.id(), new Live(reporter, sequence));
    scheduler.add(sequence);
  }

  private void abort(long id) {
    Live found = live.get(id);
    if (found != null) {
      scheduler.abort(found.sequence());
    }
  }

  private void fail(Throwable thrown) {
    Throwable known = executor.failure();
    Throwable cause = known != null ? known : unwrap(thrown);
    LOG.error("The replica failed", cause);
    failure = cause;
    stages.workEnds();
    inFlight.clear();
    failLive(describe(cause));
    publish();
    listener.failed(cause);
  }

  private void failLive(String message) {
    for (Live each : List.copyOf(live.values())) {
      each.reporter().failed(FailureCode.REPLICA_FAILED, message);
    }
  }

  private void refuse(Submit submit, FailureCode code, String message) {
    held.decrementAndGet();
    SequenceReporter.tell(submit.sink(), new TokenEvent.Failed(submit.id(), code, message));
  }

  /** Refuses what came when nobody was left to read it. Any thread, once the engine has ended. */
  private void refuseRest() {
    for (Received next = mailbox.poll(); next != null; next = mailbox.poll()) {
      if (next.command() instanceof Submit submit) {
        refuse(submit, FailureCode.DRAINING, NO_MORE_WORK);
      }
    }
  }

  private void publish() {
    EngineStatistics now = snapshot();
    statistics = now;
    listener.turnEnded(now);
  }

  private EngineStatistics snapshot() {
    return new EngineStatistics(
        scheduler.running(),
        scheduler.waiting(),
        (double) (blocks.totalBlocks() - blocks.freeBlocks()) / blocks.totalBlocks(),
        scheduler.prefixQueries(),
        scheduler.prefixHits(),
        scheduler.preemptions(),
        scheduler.promptTokens(),
        scheduler.generatedTokens(),
        steps,
        stages.read(executor.busyNanos()),
        clock.getAsLong());
  }

  private static Throwable unwrap(Throwable thrown) {
    Throwable cause = thrown.getCause();
    return thrown instanceof CompletionException && cause != null ? cause : thrown;
  }

  private static String describe(Throwable cause) {
    String message = cause.getMessage();
    return message != null ? message : cause.toString();
  }

  private final class Bookkeeper implements SequenceReporter.Owner {
    @Override
    public void ended(long id) {
      live.remove(id);
      held.decrementAndGet();
    }

    @Override
    public void sinkFailed(long id) {
      send(new Abort(id));
    }
  }
}
