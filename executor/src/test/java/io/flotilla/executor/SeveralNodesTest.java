package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepDriver.Generated;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.executor.wire.FrameKind;
import io.flotilla.executor.wire.NodeConnection;
import io.flotilla.executor.wire.NodeException;
import io.flotilla.executor.wire.NodeLinks;
import io.flotilla.kernels.Device;
import io.flotilla.model.sampling.SamplingParameters;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Stages on several nodes give what they give in one process, and fail together. */
@Timeout(120)
class SeveralNodesTest {
  /** Bytes of KV cache that hold some blocks of the pocket model. */
  private static final long KV_BYTES = 64L << 20;

  private static final Duration FAILS_WITHIN = Duration.ofSeconds(2);
  private static final ModelConfig CONFIG = TinyModel.config("Qwen3ForCausalLM", 8, 4, 256, 300);

  @ParameterizedTest(name = "tp {0}, pp {1}, {2} nodes")
  @CsvSource({"1,2,2", "2,2,2", "1,4,2", "1,3,3", "1,4,4"})
  void giveTheBitsOfOneProcess(int tensor, int pipeline, int nodes) {
    ExecutorOptions options = TinyModel.options(tensor, pipeline, List.of());
    try (TinyModel model = TinyModel.pocket();
        LocalExecutor one = model.start(options);
        NodeCluster many = NodeCluster.start(model, options, nodes)) {
      List<Request> requests = requests(model.config(), new Random(pipeline));
      List<Generated> expected = StepDriver.run(one, requests, 3);
      assertThat(StepDriver.run(many.master(), requests, 4))
          .usingRecursiveComparison()
          .isEqualTo(expected);
      assertThat(many.master().busyNanos()).hasSize(pipeline).doesNotContain(0);
    }
  }

  private static List<Request> requests(ModelConfig config, Random random) {
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < TinyModel.MAX_SEQUENCES; i++) {
      int[] prompt = random.ints(5 + random.nextInt(60), 0, config.vocabularySize()).toArray();
      float temperature = i % 2 == 0 ? 0 : 0.9f;
      int logprobs = i < 2 ? 3 : -1;
      requests.add(
          new Request(
              prompt,
              20,
              new SamplingParameters(
                  temperature,
                  40,
                  0.9f,
                  0,
                  1.1f,
                  0,
                  0,
                  Map.of(),
                  5,
                  0,
                  0,
                  List.of(),
                  logprobs,
                  logprobs)));
    }
    return requests;
  }

  @Test
  void agreeOnTheLeastLengthAndKvCache() {
    ExecutorOptions small = sized(64, KV_BYTES / 4);
    ExecutorOptions large = sized(96, KV_BYTES);
    try (TinyModel model = tiny();
        NodeCluster alike = NodeCluster.start(model, small, 2);
        NodeCluster unlike =
            NodeCluster.start(model, List.of(large, small), (_, device) -> device)) {
      for (LocalExecutor executor : unlike.executors()) {
        assertThat(executor.kvBlocks()).isEqualTo(alike.master().kvBlocks());
        assertThat(executor.maxModelLength()).isEqualTo(64);
      }
    }
  }

  private static ExecutorOptions sized(int length, long kvBytes) {
    return new ExecutorOptions(
        new Topology(1, 2, 1, 1, 1, false),
        length,
        TinyModel.MAX_SEQUENCES,
        TinyModel.MAX_ROWS,
        kvBytes,
        TinyModel.BLOCK_SIZE);
  }

  private static TinyModel tiny() {
    return new TinyModel("tiny", CONFIG, new DummyWeights(CONFIG, ElementType.F32, 3));
  }

  @ParameterizedTest(name = "pp {0}, {1} nodes, rank {2}")
  @CsvSource({"2,2,0", "2,2,1", "3,3,1", "3,3,2"})
  void aRankThatThrowsFailsAllNodesWithItsCause(int pipeline, int nodes, int rank) {
    AtomicInteger calls = new AtomicInteger();
    long[] thrown = new long[1];
    Runnable fault =
        () -> {
          if (calls.incrementAndGet() == 20) {
            thrown[0] = System.nanoTime();
            throw new IllegalStateException("the device is on fire");
          }
        };
    try (TinyModel model = tiny();
        NodeCluster cluster = faulty(model, pipeline, nodes, rank, fault)) {
      assertThatThrownBy(() -> run(cluster.master()))
          .isInstanceOf(CompletionException.class)
          .hasStackTraceContaining("the device is on fire");
      for (LocalExecutor executor : cluster.executors()) {
        Throwable failure = failure(executor);
        assertThat(failure).hasMessageContaining("the device is on fire");
        assertThat(failure.getStackTrace()[0].getClassName())
            .isEqualTo(SeveralNodesTest.class.getName());
      }
      assertThat(Duration.ofNanos(System.nanoTime() - thrown[0])).isLessThan(FAILS_WITHIN);
      String first = String.valueOf(cluster.master().failure());
      assertThat(first.contains("node " + rank)).isEqualTo(rank > 0);
    }
  }

  @Test
  void aRankThatHangsIsNamedOnAllNodes() throws InterruptedException {
    CountDownLatch released = new CountDownLatch(1);
    AtomicInteger calls = new AtomicInteger();
    Runnable fault =
        () -> {
          // The watchdog must have seen a step before, since the first may take a minute.
          switch (calls.incrementAndGet()) {
            case 20 -> await(released, Duration.ofMillis(300));
            case 40 -> await(released, Duration.ofMinutes(1));
            default -> {}
          }
        };
    try (TinyModel model = tiny();
        NodeCluster cluster = faulty(model, 2, 2, 1, fault)) {
      assertThatThrownBy(() -> run(cluster.master()))
          .hasMessageContaining("node 1 (127.0.0.1) failed: rank-1 made no progress for");
      assertThat(failure(cluster.executors().get(1))).isInstanceOf(StepTimeoutException.class);
      released.countDown();
    }
  }

  private static void await(CountDownLatch latch, Duration most) {
    try {
      boolean _ = latch.await(most.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static NodeCluster faulty(
      TinyModel model, int pipeline, int nodes, int rank, Runnable fault) {
    ExecutorOptions options = TinyModel.options(1, pipeline, List.of());
    return NodeCluster.start(
        model,
        Collections.nCopies(nodes, options),
        (number, device) -> number == rank ? hooked(device, fault) : device);
  }

  private static Device hooked(Device device, Runnable fault) {
    return new HookedDevice(
        device,
        method -> {
          if (method.equals("siluMultiply")) {
            fault.run();
          }
        });
  }

  private static List<Generated> run(LocalExecutor executor) {
    Request request = new Request(new int[] {1, 2, 3, 4, 5}, 30, SamplingParameters.greedy());
    return StepDriver.run(executor, List.of(request), 1);
  }

  /** Waits for a failure, for a little longer than it may take. */
  private static Throwable failure(LocalExecutor executor) {
    long end = System.nanoTime() + FAILS_WITHIN.toNanos();
    while (executor.failure() == null && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
    return Objects.requireNonNull(executor.failure());
  }

  @Test
  void aBrokenConnectionFailsBothNodes() {
    try (TinyModel model = tiny();
        NodeCluster cluster = NodeCluster.start(model, TinyModel.options(1, 2, List.of()), 2)) {
      run(cluster.master());
      // Without a word, as when a process is killed.
      cluster.links().get(1).close();
      assertThat(failure(cluster.master()))
          .isInstanceOf(NodeException.class)
          .hasMessageContaining("node 1 (127.0.0.1) is gone");
      assertThat(failure(cluster.executors().get(1))).hasMessageContaining("node 0 (127.0.0.1)");
      assertThatThrownBy(() -> run(cluster.master())).hasMessageContaining("is gone");
    }
  }

  @Test
  void aNodeThatFallsSilentFailsTheReplica() {
    List<NodeLinks> links = NodeCluster.join(2);
    ExecutorOptions options = TinyModel.options(1, 2, List.of());
    try (TinyModel model = tiny();
        NodeLinks silent = links.get(1)) {
      CompletableFuture<LocalExecutor> starting =
          NodeCluster.async(
              () -> NodeCluster.startNode(model, options, links.get(0), (_, device) -> device));
      silent.minimum(NodeCluster.PATIENCE, 1000, 1000);
      NodeConnection master = silent.connections().getFirst();
      master.start(frame -> {}, _ -> {});
      master.send(silent.pool().begin(FrameKind.READY));
      try (LocalExecutor executor = starting.join()) {
        long start = System.nanoTime();
        assertThat(executor.failure()).isNull();
        while (executor.failure() == null && System.nanoTime() - start < 5_000_000_000L) {
          Thread.onSpinWait();
        }
        assertThat(executor.failure()).hasMessageMatching("node 1 .* said nothing for 2.* s");
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(3));
      }
    }
  }

  @Test
  void otherNodesEndInOrderWithNode0() throws InterruptedException {
    try (TinyModel model = tiny();
        NodeCluster cluster = NodeCluster.start(model, TinyModel.options(1, 2, List.of()), 2)) {
      run(cluster.master());
      cluster.master().close();
      assertThat(cluster.executors().get(1).awaitEnd()).isNull();
    }
  }

  @Test
  void aNodeThatCannotLoadIsTheCauseOnAllNodes() {
    List<NodeLinks> links = NodeCluster.join(2);
    ExecutorOptions options = TinyModel.options(1, 2, List.of());
    ModelConfig larger = TinyModel.config("Qwen3ForCausalLM", 8, 4, 512, 300);
    try (TinyModel model = tiny();
        WeightSource other = new DummyWeights(larger, ElementType.F32, 3)) {
      TinyModel broken = new TinyModel("broken", CONFIG, other);
      CompletableFuture<LocalExecutor> starting =
          NodeCluster.async(
              () -> NodeCluster.startNode(broken, options, links.get(1), (_, device) -> device));
      assertThatThrownBy(
              () -> NodeCluster.startNode(model, options, links.get(0), (_, device) -> device))
          .isInstanceOf(NodeException.class)
          .hasMessageContaining("node 1 (127.0.0.1) failed: ")
          .hasMessageContaining("has shape");
      assertThatThrownBy(starting::join).hasMessageContaining("has shape");
    }
  }
}
