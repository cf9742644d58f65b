package io.flotilla.executor;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.model.Architectures;
import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** The ranks of a replica that live in this process, one thread each, and their watchdog. */
public final class LocalExecutor implements Executor {
  private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(10);

  private final ExecutorOptions options;
  private final RankSet ranks;
  private final ReplicaFailure failure;
  private final Thread watchdog;
  private volatile boolean closed;

  private LocalExecutor(
      ExecutorOptions options, RankSet ranks, ReplicaFailure failure, StepWatchdog watchdog) {
    this.options = options;
    this.ranks = ranks;
    this.failure = failure;
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

  /**
   * Spreads a model over devices and starts a rank on each.
   *
   * @param weights must stay open until the executor is closed
   * @param devices one for each rank, stage by stage; they become the executor's, which closes
   *     them, also when it cannot start
   * @param interconnect joins them
   * @throws CheckpointException when the architecture is not supported or a tensor is missing or
   *     misshapen
   * @throws IllegalArgumentException naming the flag, when the options do not fit the model, the
   *     devices or the memory
   */
  public static LocalExecutor start(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      List<Device> devices,
      Interconnect interconnect) {
    StepWatchdog watchdog = new StepWatchdog(System::nanoTime);
    return start(options, config, weights, devices, interconnect, watchdog);
  }

  static LocalExecutor start(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      Device device,
      StepWatchdog watchdog) {
    Interconnect none = (members, _, _) -> List.of(Collectives.ALONE);
    return start(options, config, weights, List.of(device), none, watchdog);
  }

  static LocalExecutor start(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      List<Device> devices,
      Interconnect interconnect,
      StepWatchdog watchdog) {
    ReplicaFailure failure = new ReplicaFailure();
    RankSet ranks = null;
    try {
      Layout layout = layout(options, config, devices);
      ranks = new RankSet(options, config, layout, devices, interconnect, failure);
    } finally {
      if (ranks == null) {
        devices.forEach(Device::close);
      }
    }
    ranks.start(weights);
    if (failure.cause() != null) {
      ranks.join(CLOSE_PATIENCE);
      switch (failure.requireCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case Throwable cause -> throw new IllegalStateException("a rank did not start", cause);
      }
    }
    LocalExecutor executor = new LocalExecutor(options, ranks, failure, watchdog);
    executor.watchdog.start();
    return executor;
  }

  /** Everything that can be refused before weights are read. */
  private static Layout layout(ExecutorOptions options, ModelConfig config, List<Device> devices) {
    Architectures.requireSupported(config);
    if (options.maxModelLength() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "--max-model-len %d is more than the model's %d positions"
              .formatted(options.maxModelLength(), config.maxPositions()));
    }
    Layout layout = Layout.of(options.topology(), options.pipelineLayers(), config);
    if (layout.ranks() != devices.size()) {
      throw new IllegalArgumentException(
          ("%d ranks (--tensor-parallel-size %d x --pipeline-parallel-size %d x"
                  + " --prefill-context-parallel-size %d) have %d devices")
              .formatted(
                  layout.ranks(),
                  layout.tensor(),
                  layout.stages().size(),
                  layout.prefillContext(),
                  devices.size()));
    }
    return layout;
  }

  @Override
  public Topology topology() {
    return options.topology();
  }

  @Override
  public int kvBlocks() {
    return ranks.kvBlocks();
  }

  @Override
  public int blockSize() {
    return options.tokensPerBlock();
  }

  @Override
  public int maxSequences() {
    return options.maxSequences();
  }

  @Override
  public int maxStepsInFlight() {
    return options.stepsInFlight();
  }

  @Override
  public long[] busyNanos() {
    return ranks.busyNanos();
  }

  /** Where the memory of the first rank goes, to be printed at start. */
  public MemoryPlan memory() {
    return memories().getFirst();
  }

  /** Where the memory of each rank goes, to be printed at start. */
  public List<MemoryPlan> memories() {
    return ranks.memories();
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
    return ranks.submit(plan);
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
    return ranks.progress();
  }

  @Override
  public @Nullable Throwable failure() {
    return failure.cause();
  }

  private void watch(StepWatchdog watchdog) {
    while (!closed && failure.cause() == null) {
      Duration silence = watchdog.poll(ranks.oldestStep(), progress());
      if (silence != null) {
        failure.report(ranks.hung(silence));
        return;
      }
      try {
        Thread.sleep(StepWatchdog.PERIOD);
      } catch (InterruptedException _) {
        return;
      }
    }
  }

  /** Waiting plans fail. Waits for the step that runs, but not for a hung one. */
  @Override
  public void close() {
    closed = true;
    watchdog.interrupt();
    failure.report(new IllegalStateException("the executor was closed"));
    ranks.join(CLOSE_PATIENCE);
  }
}
