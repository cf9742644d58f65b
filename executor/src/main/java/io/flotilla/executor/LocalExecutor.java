package io.flotilla.executor;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.kernels.Device;
import io.flotilla.model.Architectures;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.BitSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.jspecify.annotations.Nullable;

/** The ranks of a replica that live in this process, one thread each, and their watchdog. */
public final class LocalExecutor implements Executor {
  private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(10);

  private final ExecutorOptions options;
  private final RankWorker worker;
  private final Rank rank;
  private final Thread watchdog;
  private volatile boolean closed;

  private LocalExecutor(
      ExecutorOptions options, RankWorker worker, Rank rank, StepWatchdog watchdog) {
    this.options = options;
    this.worker = worker;
    this.rank = rank;
    this.watchdog =
        Thread.ofPlatform().name("step-watchdog").daemon().unstarted(() -> watch(watchdog));
  }

  /**
   * Loads a model onto a device and starts its rank.
   *
   * @param weights must stay open until the executor is closed
   * @param device becomes the executor's, which closes it, also when it cannot start
   * @throws CheckpointException when the architecture is not supported or a tensor is missing or
   *     misshapen
   * @throws IllegalArgumentException naming the flag, when the options do not fit the model or the
   *     memory
   */
  public static LocalExecutor start(
      ExecutorOptions options, ModelConfig config, WeightSource weights, Device device) {
    return start(options, config, weights, device, new StepWatchdog(System::nanoTime));
  }

  static LocalExecutor start(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      Device device,
      StepWatchdog watchdog) {
    RankWorker worker =
        new RankWorker(
            "rank-0", device, arena -> buildRank(options, config, weights, device, arena));
    try {
      Rank rank = worker.awaitRank();
      LocalExecutor executor = new LocalExecutor(options, worker, rank, watchdog);
      executor.watchdog.start();
      return executor;
    } catch (CompletionException failed) {
      switch (failed.getCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case null, default -> throw failed;
      }
    }
  }

  private static Rank buildRank(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      Device device,
      Arena arena) {
    Architectures.requireSupported(config);
    if (options.maxModelLength() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "--max-model-len %d is more than the model's %d positions"
              .formatted(options.maxModelLength(), config.maxPositions()));
    }
    return new Rank(options, config, weights, device, arena);
  }

  @Override
  public Topology topology() {
    return options.topology();
  }

  @Override
  public int kvBlocks() {
    return rank.memory().kvBlocks();
  }

  @Override
  public int blockSize() {
    return options.blockSize();
  }

  @Override
  public int maxSequences() {
    return options.maxSequences();
  }

  @Override
  public int maxStepsInFlight() {
    return options.topology().pipeline() + 1;
  }

  /** Where the memory of the rank goes, to be printed at start. */
  public MemoryPlan memory() {
    return rank.memory();
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException when the plan is larger than the executor was started for; the
   *     executor lives on
   */
  @Override
  public CompletableFuture<StepResult> submit(StepPlan plan) {
    requireFits(plan);
    return worker.submit(plan);
  }

  private void requireFits(StepPlan plan) {
    if (plan.tokenCount() > options.maxBatchedTokens()) {
      throw new IllegalArgumentException(
          "step %d computes %d tokens, at most %d fit"
              .formatted(plan.step(), plan.tokenCount(), options.maxBatchedTokens()));
    }
    BitSet seen = new BitSet(options.maxSequences());
    for (SequenceStep sequence : plan.sequences()) {
      int slot = sequence.slot();
      int count = sequence.tokens().count();
      long end = (long) sequence.computed() + count;
      if (slot < 0 || slot >= options.maxSequences() || seen.get(slot)) {
        throw new IllegalArgumentException(
            "step %d names slot %d twice or outside %d slots"
                .formatted(plan.step(), slot, options.maxSequences()));
      }
      if (count == 0 || sequence.computed() < 0 || end > options.maxModelLength()) {
        throw new IllegalArgumentException(
            "step %d computes tokens %d to %d of slot %d, of %d"
                .formatted(plan.step(), sequence.computed(), end, slot, options.maxModelLength()));
      }
      seen.set(slot);
    }
  }

  @Override
  public long progress() {
    return rank.progress();
  }

  @Override
  public @Nullable Throwable failure() {
    return worker.failure();
  }

  private void watch(StepWatchdog watchdog) {
    while (!closed && worker.failure() == null) {
      Duration silence = watchdog.poll(worker.runningStep(), progress());
      if (silence != null) {
        worker.failHung(silence);
        return;
      }
      try {
        Thread.sleep(StepWatchdog.PERIOD);
      } catch (InterruptedException _) {
        return;
      }
    }
  }

  @Override
  public void close() {
    closed = true;
    watchdog.interrupt();
    worker.stop(CLOSE_PATIENCE);
  }
}
