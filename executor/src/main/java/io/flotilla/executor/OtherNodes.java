package io.flotilla.executor;

import io.flotilla.executor.wire.Frame;
import io.flotilla.executor.wire.FrameKind;
import io.flotilla.executor.wire.NodeConnection;
import io.flotilla.executor.wire.NodeException;
import io.flotilla.executor.wire.NodeLinks;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.kernels.AbortSignal;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * The nodes that have the stages of a replica that are not in this JVM. Node 0 sends every plan to
 * all; the last node answers. Messages between ranks go through node 0 where they are not its own.
 * All nodes tell each other that they live, how far they are, and why they fail. Thread-safe.
 */
final class OtherNodes implements AutoCloseable {
  private static final Duration STATUS_PERIOD = Duration.ofMillis(100);

  /** A node that says nothing for longer is dead; while weights are loaded it may be busy. */
  private static final Duration SILENCE = Duration.ofSeconds(2);

  private static final Duration SILENCE_LOADING = Duration.ofSeconds(60);

  private final NodeLinks links;
  private final NodePlace place;
  private final int stagesPerNode;
  private final int stageRanks;
  private final ReplicaFailure failure;
  private final Map<Long, MessageBox> boxes = new ConcurrentHashMap<>();
  private final Map<Long, CompletableFuture<StepResult>> pending = new ConcurrentHashMap<>();
  private final CountDownLatch unready;
  private final CountDownLatch end = new CountDownLatch(1);
  private final AtomicLongArray progress;
  private final AtomicLongArray busy;
  private volatile boolean ready;
  private volatile boolean stopped;
  private volatile boolean ended;

  OtherNodes(NodeLinks links, Layout layout, ReplicaFailure failure) {
    this.links = links;
    this.place = links.place();
    this.stagesPerNode = place.stages(layout.stages().size());
    this.stageRanks = layout.stageRanks();
    this.failure = failure;
    this.unready = new CountDownLatch(links.connections().size());
    this.progress = new AtomicLongArray(place.nodes());
    this.busy = new AtomicLongArray(layout.stages().size());
    failure.onReport(this::obeyFailure);
  }

  /** The first stage of this node. */
  int firstStage() {
    return place.node() * stagesPerNode;
  }

  /** Stages of this node. */
  int stages() {
    return stagesPerNode;
  }

  AbortSignal abort() {
    return failure.abort();
  }

  /** Whether the whole replica is in this process. */
  boolean areNone() {
    return place.isAlone();
  }

  /** Where messages of a rank to another come. */
  MessageBox box(int from, int to) {
    return boxes.computeIfAbsent(key(from, to), _ -> new MessageBox());
  }

  private static long key(int from, int to) {
    return (long) from << Integer.SIZE | to;
  }

  /**
   * Listens from now on.
   *
   * @param plans runs those that node 0 sends, and gives their results
   * @param local this node's progress
   * @param busyNanos of this node's stages
   */
  void start(Consumer<StepPlan> plans, LongSupplier local, Supplier<long[]> busyNanos) {
    for (NodeConnection other : links.connections()) {
      other.start(frame -> receive(frame, other, plans), failure::report);
    }
    if (!place.isAlone()) {
      Thread.ofPlatform().daemon().name("node-status").start(() -> keepInTouch(local, busyNanos));
    }
  }

  private void receive(Frame frame, NodeConnection from, Consumer<StepPlan> plans) {
    switch (frame.kind()) {
      case MESSAGE -> {
        route(frame);
        return;
      }
      case PLAN -> plans.accept(StepCodec.readPlan(frame));
      case RESULT -> complete(StepCodec.readResult(frame));
      case STATUS -> readStatus(frame, from.node());
      case READY -> unready.countDown();
      case FAILURE -> {
        failure.report(NodeLinks.failure(frame, from));
        return;
      }
      case STOP -> {
        ended = true;
        stopped = true;
        failure.report(new NodeException(from.peer() + " has ended"));
      }
      case WELCOME, NUMBERS ->
          throw new NodeException("%s sent %s too late".formatted(from.peer(), frame.kind()));
    }
    frame.release();
  }

  private void route(Frame frame) {
    int stage = frame.to() / stageRanks;
    if (stage / stagesPerNode != place.node()) {
      send(frame.forward(), stage);
      return;
    }
    MessageBox box = boxes.get(key(frame.from(), frame.to()));
    if (box == null) {
      throw new NodeException(
          "a message of rank %d came for rank %d".formatted(frame.from(), frame.to()));
    }
    box.add(frame);
  }

  private void complete(StepResult result) {
    CompletableFuture<StepResult> waiting = pending.remove(result.step());
    if (waiting != null) {
      waiting.complete(result);
    }
  }

  /** A message to be filled in and sent. */
  Frame message(int from, int to, int bytes) {
    return links.pool().begin(FrameKind.MESSAGE, from, to, bytes);
  }

  /** Sends a message to a rank of a stage. */
  void send(Frame message, int stage) {
    int node = stage / stagesPerNode;
    links.connections().get(place.isMaster() ? node - 1 : 0).send(message);
  }

  /** Sends a plan to all other nodes; the result completes when the last has answered. */
  void submit(StepPlan plan, CompletableFuture<StepResult> result) {
    if (place.isAlone()) {
      return;
    }
    pending.put(plan.step(), result);
    for (NodeConnection other : links.connections()) {
      Frame frame = links.pool().begin(FrameKind.PLAN);
      StepCodec.write(plan, frame);
      other.send(frame);
    }
    if (failure.cause() != null) {
      failPending();
    }
  }

  /** Sends what a step yielded to node 0. */
  void answer(StepResult result) {
    Frame frame = links.pool().begin(FrameKind.RESULT);
    StepCodec.write(result, frame);
    links.connections().getFirst().send(frame);
  }

  /** Tells the others that this node's ranks are loaded, and waits for theirs or a failure. */
  void awaitReady() {
    for (NodeConnection other : links.connections()) {
      other.send(links.pool().begin(FrameKind.READY));
    }
    try {
      while (failure.cause() == null
          && !unready.await(STATUS_PERIOD.toMillis(), TimeUnit.MILLISECONDS)) {
        // Their loading takes as long as it takes; that they live is looked after elsewhere.
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      failure.report(e);
    }
    ready = true;
  }

  /** Progress of the other nodes, and what has come from them. */
  long progress() {
    long sum = 0;
    for (int node = 0; node < progress.length(); node++) {
      sum += progress.get(node);
    }
    for (NodeConnection other : links.connections()) {
      sum += other.work();
    }
    return sum;
  }

  /** Nanoseconds that a stage of another node has computed, as far as known. */
  long busyNanos(int stage) {
    return busy.get(stage);
  }

  /** Waits until the replica fails or node 0 ends. */
  void awaitEnd() throws InterruptedException {
    end.await();
  }

  /** Whether node 0 has ended in order. */
  boolean isStopped() {
    return stopped;
  }

  private void keepInTouch(LongSupplier local, Supplier<long[]> busyNanos) {
    int others = links.connections().size();
    long[] heard = new long[others];
    long[] silence = new long[others];
    long last = System.nanoTime();
    while (!ended && failure.cause() == null) {
      for (int i = 0; i < others; i++) {
        NodeConnection other = links.connections().get(i);
        other.offer(status(other.node(), local.getAsLong(), busyNanos.get()));
        long now = System.nanoTime();
        // Time in which this thread did not run does not count.
        silence[i] += Math.min(now - last, 2 * STATUS_PERIOD.toNanos());
        if (other.received() != heard[i]) {
          heard[i] = other.received();
          silence[i] = 0;
        }
      }
      last = System.nanoTime();
      requireSigns(silence);
      try {
        Thread.sleep(STATUS_PERIOD);
      } catch (InterruptedException _) {
        return;
      }
    }
  }

  private void requireSigns(long[] silence) {
    Duration limit = ready ? SILENCE : SILENCE_LOADING;
    for (int i = 0; i < silence.length; i++) {
      if (silence[i] > limit.toNanos()) {
        failure.report(
            new NodeException(
                "%s said nothing for %.1f s"
                    .formatted(links.connections().get(i).peer(), silence[i] / 1e9)));
      }
    }
  }

  /** What a node is told: the progress of all others, and the time that this one's stages took. */
  private Frame status(int receiver, long local, long[] busyNanos) {
    long sum = local;
    for (int node = 0; node < progress.length(); node++) {
      sum += node == receiver ? 0 : progress.get(node);
    }
    Frame frame = links.pool().begin(FrameKind.STATUS).put(sum).put(busyNanos.length);
    for (long nanos : busyNanos) {
      frame.put(nanos);
    }
    return frame;
  }

  private void readStatus(Frame frame, int node) {
    progress.set(node, frame.getLong());
    int count = frame.getCount(Long.BYTES);
    for (int i = 0; i < count; i++) {
      busy.set(node * stagesPerNode + i, frame.getLong());
    }
  }

  private void obeyFailure() {
    failPending();
    if (ended) {
      links.stop();
    } else {
      links.fail(failure.requireCause());
    }
    end.countDown();
  }

  private void failPending() {
    pending.values().forEach(result -> result.completeExceptionally(failure.requireCause()));
    pending.clear();
  }

  /** Tells the others that this node ends in order, unless it has failed before. */
  void stop() {
    ended = true;
    links.stop();
  }

  @Override
  public void close() {
    ended = true;
    links.close();
  }
}
