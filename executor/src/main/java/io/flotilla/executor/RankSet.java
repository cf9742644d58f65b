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
 * The ranks of a replica. Each gets every plan, in the same order; the first rank of the last stage
 * answers. Everything but {@link #start} is callable from any thread.
 */
final class RankSet {
  private final ExecutorOptions options;
  private final ModelConfig config;
  private final List<Device> devices;
  private final List<RankPlace> places;
  private final ReplicaFailure failure;
  private final int kvBlocks;
  private final List<RankWorker> workers = new ArrayList<>();
  private final List<Rank> ranks = new ArrayList<>();

  /**
   * Joins the devices; nothing is loaded yet.
   *
   * @throws IllegalArgumentException when the KV cache of a rank does not hold one sequence
   */
  RankSet(
      ExecutorOptions options,
      ModelConfig config,
      Layout layout,
      List<Device> devices,
      Interconnect interconnect,
      ReplicaFailure failure) {
    this.options = options;
    this.config = config;
    this.devices = List.copyOf(devices);
    this.failure = failure;
    this.kvBlocks = layout.kvBlocks(options, config, devices.getFirst());
    this.places = places(layout, devices, interconnect, failure.abort());
  }

  private List<RankPlace> places(
      Layout layout, List<Device> members, Interconnect interconnect, AbortSignal abort) {
    int stages = layout.stages().size();
    int stageRanks = layout.stageRanks();
    List<List<StageRanks>> joined = new ArrayList<>();
    for (int stage = 0; stage < stages; stage++) {
      List<Device> devices = members.subList(stage * stageRanks, (stage + 1) * stageRanks);
      joined.add(new StageGroups(layout, devices, interconnect, abort).ranks());
    }
    List<List<Collectives>> pipelines = new ArrayList<>();
    int messages = StageLink.MESSAGES_PER_STEP * options.stepsInFlight();
    for (int place = 0; place < stageRanks; place++) {
      int first = place;
      List<Device> line =
          IntStream.range(0, stages).mapToObj(s -> members.get(s * stageRanks + first)).toList();
      pipelines.add(interconnect.connect(line, messages, abort));
    }
    List<RankPlace> all = new ArrayList<>();
    for (int rank = 0; rank < layout.ranks(); rank++) {
      int stage = layout.stage(rank);
      int place = rank % stageRanks;
      all.add(
          new RankPlace(
              layout.stages().get(stage),
              stage,
              stages,
              joined.get(stage).get(place),
              pipelines.get(place).get(stage)));
    }
    return List.copyOf(all);
  }

  /** Loads the model. When a rank fails, the failure is reported and the others end. */
  void start(WeightSource weights) {
    CountDownLatch running = new CountDownLatch(places.size());
    for (int number = 0; number < places.size(); number++) {
      RankPlace place = places.get(number);
      Device device = devices.get(number);
      workers.add(
          new RankWorker(
              "rank-" + number,
              device,
              arena -> new Rank(options, config, weights, place, kvBlocks, device, arena),
              failure,
              running));
    }
    for (RankWorker worker : workers) {
      worker.ready().exceptionally(_ -> null).join();
    }
    if (failure.cause() == null) {
      workers.forEach(worker -> ranks.add(worker.ready().join()));
    }
  }

  int kvBlocks() {
    return kvBlocks;
  }

  List<MemoryPlan> memories() {
    return ranks.stream().map(Rank::memory).toList();
  }

  CompletableFuture<StepResult> submit(StepPlan plan) {
    CompletableFuture<StepResult> result = new CompletableFuture<>();
    for (RankWorker worker : workers) {
      worker.submit(plan, result);
    }
    return result;
  }

  long progress() {
    long sum = 0;
    for (Rank rank : ranks) {
      sum += rank.progress();
    }
    return sum;
  }

  /** Nanoseconds that the first rank of each stage has computed. */
  long[] busyNanos() {
    long[] busy = new long[options.topology().pipeline()];
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
