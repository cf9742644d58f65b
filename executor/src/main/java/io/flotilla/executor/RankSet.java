package io.flotilla.executor;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.model.layer.StageRanks;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;

/**
 * The ranks of a replica that live in this process: all, or those of some neighbouring stages. Each
 * gets every plan, in the same order; the first rank of the last stage answers. Everything but
 * {@link #start} is callable from any thread.
 */
final class RankSet {
  private final ExecutorOptions options;
  private final ModelConfig config;
  private final List<Device> devices;
  private final List<RankPlace> places;
  private final ReplicaFailure failure;
  private final OtherNodes nodes;
  private final int firstRank;
  private final int kvBlocks;
  private final List<RankWorker> workers = new ArrayList<>();
  private volatile List<Rank> ranks = List.of();

  /**
   * Joins the devices; nothing is loaded yet.
   *
   * @param devices those of this process
   * @param nodes have the other stages
   * @param kvBlocks of every rank
   */
  RankSet(
      ExecutorOptions options,
      ModelConfig config,
      Layout layout,
      List<Device> devices,
      Interconnect interconnect,
      ReplicaFailure failure,
      OtherNodes nodes,
      int kvBlocks) {
    this.options = options;
    this.config = config;
    this.devices = List.copyOf(devices);
    this.failure = failure;
    this.nodes = nodes;
    this.firstRank = nodes.firstStage() * layout.stageRanks();
    this.kvBlocks = kvBlocks;
    this.places = places(layout, interconnect, failure.abort());
  }

  private List<RankPlace> places(Layout layout, Interconnect interconnect, AbortSignal abort) {
    int stageRanks = layout.stageRanks();
    List<List<Collectives>> pipelines = new ArrayList<>();
    for (int place = 0; place < stageRanks; place++) {
      pipelines.add(pipeline(layout, place, interconnect, abort));
    }
    List<RankPlace> all = new ArrayList<>();
    for (int here = 0; here < nodes.stages(); here++) {
      int stage = nodes.firstStage() + here;
      List<Device> members = devices.subList(here * stageRanks, (here + 1) * stageRanks);
      List<StageRanks> joined = new StageGroups(layout, members, interconnect, abort).ranks();
      for (int place = 0; place < stageRanks; place++) {
        all.add(
            new RankPlace(
                layout.stages().get(stage),
                stage,
                layout.stages().size(),
                joined.get(place),
                pipelines.get(place).get(here)));
      }
    }
    return List.copyOf(all);
  }

  /** Joins the ranks that have the same place in their stage; the sides of this process. */
  private List<Collectives> pipeline(
      Layout layout, int place, Interconnect interconnect, AbortSignal abort) {
    int stages = nodes.stages();
    int stageRanks = layout.stageRanks();
    int messages = StageLink.MESSAGES_PER_STEP * options.stepsInFlight();
    List<Device> line =
        IntStream.range(0, stages).mapToObj(s -> devices.get(s * stageRanks + place)).toList();
    List<Collectives> here = interconnect.connect(line, messages, abort);
    if (stages == layout.stages().size()) {
      return here;
    }
    int first = nodes.firstStage();
    return IntStream.range(0, stages)
        .mapToObj(
            s ->
                (Collectives) new NodePipeline(here.get(s), first, first + s, place, layout, nodes))
        .toList();
  }

  /** Loads the model. When a rank fails, the failure is reported and the others end. */
  void start(WeightSource source) {
    WeightSource weights = new WeightsUntilFailure(source, failure.abort());
    CountDownLatch running = new CountDownLatch(places.size());
    for (int number = 0; number < places.size(); number++) {
      RankPlace place = places.get(number);
      Device device = devices.get(number);
      workers.add(
          new RankWorker(
              "rank-" + (firstRank + number),
              device,
              arena -> new Rank(options, config, weights, place, kvBlocks, device, arena),
              failure,
              running));
    }
    for (RankWorker worker : workers) {
      worker.ready().exceptionally(_ -> null).join();
    }
    if (failure.cause() == null) {
      ranks = workers.stream().map(worker -> worker.ready().join()).toList();
    }
  }

  int kvBlocks() {
    return kvBlocks;
  }

  List<MemoryPlan> memories() {
    return ranks.stream().map(Rank::memory).toList();
  }

  /**
   * Queues a plan.
   *
   * @param result completed when a rank of this process answers, or with the replica's failure
   */
  void submit(StepPlan plan, CompletableFuture<StepResult> result) {
    for (RankWorker worker : workers) {
      worker.submit(plan, result);
    }
  }

  long progress() {
    long sum = 0;
    for (Rank rank : ranks) {
      sum += rank.progress();
    }
    return sum;
  }

  /** Nanoseconds that the first rank of each stage of this process has computed. */
  long[] busyNanos() {
    long[] busy = new long[nodes.stages()];
    if (ranks.isEmpty()) {
      return busy;
    }
    int stageRanks = ranks.size() / busy.length;
    Arrays.setAll(busy, stage -> ranks.get(stage * stageRanks).busyNanos());
    return busy;
  }

  /** The oldest step that a rank runs, or -1. */
  long oldestStep() {
    long oldest = -1;
    for (RankWorker worker : workers) {
      long step = worker.runningStep();
      if (step >= 0 && (oldest < 0 || step < oldest)) {
        oldest = step;
      }
    }
    return oldest;
  }

  /** Whether a rank runs a step and waits for no other. */
  boolean computes() {
    for (int number = 0; number < workers.size(); number++) {
      if (workers.get(number).runningStep() >= 0 && !ranks.get(number).isWaiting()) {
        return true;
      }
    }
    return false;
  }

  /** The rank that the others wait for, as the cause of the silence. */
  StepTimeoutException hung(Duration silence) {
    RankWorker suspect = workers.getFirst();
    for (int number = 0; number < workers.size(); number++) {
      RankWorker worker = workers.get(number);
      if (worker.runningStep() >= 0) {
        suspect = worker;
        if (!ranks.get(number).isWaiting()) {
          break;
        }
      }
    }
    return suspect.hung(silence);
  }

  /** Waits for the ranks' ends, but not for hung ones. */
  void join(Duration patience) {
    long end = System.nanoTime() + patience.toNanos();
    for (RankWorker worker : workers) {
      // Not zero, which would be forever.
      worker.join(Duration.ofNanos(Math.max(1_000_000, end - System.nanoTime())));
    }
  }
}
