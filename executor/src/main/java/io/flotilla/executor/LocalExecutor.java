package io.flotilla.executor;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.wire.NodeLinks;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.executor.wire.Rendezvous;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.model.Architectures;
import java.time.Duration;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of a replica that live in this process, one thread each, and their watchdog. Where
 * other nodes have stages of the same replica, plans are submitted on node 0 alone and come to the
 * others from there.
 */
public final class LocalExecutor implements Executor {
  private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(10);

  /** What a node that waits for another gives that one, to find its own fault first. */
  private static final Duration GRACE = Duration.ofSeconds(1);

  private final ExecutorOptions options;
  private final RankSet ranks;
  private final OtherNodes nodes;
  private final ReplicaFailure failure;
  private final Thread watchdog;
  private volatile boolean closed;

  private LocalExecutor(
      ExecutorOptions options,
      RankSet ranks,
      OtherNodes nodes,
      ReplicaFailure failure,
      StepWatchdog watchdog) {
    this.options = options;
    this.ranks = ranks;
    this.nodes = nodes;
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
    return start(options, config, weights, devices, interconnect, NodeLinks.alone());
  }

  /**
   * Spreads a model over devices of several nodes and starts a rank on each of this one. All nodes
   * call it with the same options but those of size, of which the least counts.
   *
   * @param devices those of this node
   * @param links to the other nodes; they become the executor's, which closes them, also when it
   *     cannot start
   * @throws io.flotilla.executor.wire.NodeException when another node fails
   */
  public static LocalExecutor start(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      List<Device> devices,
      Interconnect interconnect,
      NodeLinks links) {
    StepWatchdog watchdog = new StepWatchdog(System::nanoTime);
    return start(options, config, weights, devices, interconnect, links, watchdog);
  }

  static LocalExecutor start(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      Device device,
      StepWatchdog watchdog) {
    Interconnect none = (members, _, _) -> List.of(Collectives.ALONE);
    return start(options, config, weights, List.of(device), none, NodeLinks.alone(), watchdog);
  }

  static LocalExecutor start(
      ExecutorOptions asked,
      ModelConfig config,
      WeightSource weights,
      List<Device> devices,
      Interconnect interconnect,
      NodeLinks links,
      StepWatchdog watchdog) {
    ReplicaFailure failure = new ReplicaFailure();
    ExecutorOptions options = asked;
    OtherNodes nodes = null;
    RankSet ranks = null;
    try {
      Layout layout = layout(asked, config, links.place(), devices);
      long[] sizes = agree(layout, asked, config, devices.getFirst(), links);
      options = asked.withMaxModelLength((int) sizes[0]);
      nodes = new OtherNodes(links, layout, failure);
      ranks =
          new RankSet(
              options, config, layout, devices, interconnect, failure, nodes, (int) sizes[1]);
    } catch (RuntimeException | Error refused) {
      links.fail(refused);
      links.close();
      throw refused;
    } finally {
      if (ranks == null) {
        devices.forEach(Device::close);
      }
    }
    LocalExecutor executor = new LocalExecutor(options, ranks, nodes, failure, watchdog);
    executor.load(weights);
    executor.watchdog.start();
    return executor;
  }

  /** The greatest length and the blocks of KV cache: as many as every node has. */
  private static long[] agree(
      Layout layout, ExecutorOptions options, ModelConfig config, Device device, NodeLinks links) {
    long length = options.maxModelLength();
    long blocks = layout.kvBlocks(options, config, device);
    return links.minimum(Rendezvous.PATIENCE, length, blocks);
  }

  /** Starts the ranks, here and on the other nodes. */
  private void load(WeightSource weights) {
    nodes.start(this::runForMaster, ranks::progress, ranks::busyNanos);
    ranks.start(weights);
    if (failure.cause() == null) {
      nodes.awaitReady();
    }
    if (failure.cause() != null) {
      ranks.join(CLOSE_PATIENCE);
      nodes.close();
      switch (failure.requireCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case Throwable cause -> throw new IllegalStateException("a rank did not start", cause);
      }
    }
  }

  /** Everything that can be refused before weights are read. */
  private static Layout layout(
      ExecutorOptions options, ModelConfig config, NodePlace place, List<Device> devices) {
    Architectures.requireSupported(config);
    if (options.maxModelLength() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "--max-model-len %d is more than the model's %d positions"
              .formatted(options.maxModelLength(), config.maxPositions()));
    }
    Layout layout = Layout.of(options.topology(), options.pipelineLayers(), config);
    int stages = place.stages(layout.stages().size());
    if (stages * layout.stageRanks() != devices.size()) {
      throw new IllegalArgumentException(
          ("%d ranks (--tensor-parallel-size %d x --pipeline-parallel-size %d x"
                  + " --prefill-context-parallel-size %d%s) have %d devices")
              .formatted(
                  stages * layout.stageRanks(),
                  layout.tensor(),
                  layout.stages().size(),
                  layout.prefillContext(),
                  place.isAlone() ? "" : " / --nnodes " + place.nodes(),
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
    long[] here = ranks.busyNanos();
    long[] all = new long[options.topology().pipeline()];
    Arrays.setAll(all, nodes::busyNanos);
    System.arraycopy(here, 0, all, nodes.firstStage(), here.length);
    return all;
  }

  /** Tokens of prompt and output of one sequence: what every node has room for. */
  public int maxModelLength() {
    return options.maxModelLength();
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
    CompletableFuture<StepResult> result = new CompletableFuture<>();
    nodes.submit(plan, result);
    ranks.submit(plan, result);
    return result;
  }

  private void runForMaster(StepPlan plan) {
    requireFits(plan);
    CompletableFuture<StepResult> result = new CompletableFuture<>();
    CompletableFuture<Void> _ = result.thenAccept(nodes::answer).exceptionally(this::report);
    ranks.submit(plan, result);
  }

  private @Nullable Void report(Throwable cause) {
    failure.report(cause);
    return null;
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
    return ranks.progress() + nodes.progress();
  }

  @Override
  public @Nullable Throwable failure() {
    return failure.cause();
  }

  private void watch(StepWatchdog watchdog) {
    Duration grace = GRACE;
    while (!closed && failure.cause() == null) {
      Duration silence = watchdog.poll(ranks.oldestStep(), progress());
      if (silence == null) {
        grace = GRACE;
      } else if (nodes.areNone() || ranks.computes() || grace.isNegative()) {
        failure.report(ranks.hung(silence));
        return;
      } else {
        grace = grace.minus(StepWatchdog.PERIOD);
      }
      try {
        Thread.sleep(StepWatchdog.PERIOD);
      } catch (InterruptedException _) {
        return;
      }
    }
  }

  /**
   * On a node that is not node 0: waits until node 0 ends.
   *
   * @return why the replica failed, or null when node 0 has ended in order
   */
  public @Nullable Throwable awaitEnd() throws InterruptedException {
    nodes.awaitEnd();
    return nodes.isStopped() ? null : failure.cause();
  }

  /** Waiting plans fail. Waits for the step that runs, but not for a hung one. */
  @Override
  public void close() {
    closed = true;
    watchdog.interrupt();
    nodes.stop();
    failure.report(new IllegalStateException("the executor was closed"));
    ranks.join(CLOSE_PATIENCE);
    nodes.close();
  }
}
