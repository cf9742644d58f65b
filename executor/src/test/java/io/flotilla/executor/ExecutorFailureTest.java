package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.StoredTensor;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.cpu.CpuDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ExecutorFailureTest {
  private static final ExecutorOptions OPTIONS =
      new ExecutorOptions(Topology.SINGLE, 32, 2, 16, 1 << 20, 16);

  private final OpenModel model = OpenModel.open("tiny-qwen3");
  private final CountDownLatch started = new CountDownLatch(1);
  private final CountDownLatch released = new CountDownLatch(1);
  private volatile Runnable hook = () -> {};
  private final HookedDevice device =
      new HookedDevice(
          CpuDevice.open(1),
          method -> {
            if (method.equals("embed")) {
              hook.run();
            }
          });

  @AfterEach
  void close() {
    released.countDown();
    model.close();
  }

  private LocalExecutor start() {
    return LocalExecutor.start(OPTIONS, model.config(), model.weights(), device);
  }

  private static StepPlan plan(long step) {
    return plan(step, 0);
  }

  private static StepPlan plan(long step, int block) {
    int[] ids = {1, 2, 3};
    Admission admission = new Admission(ids, ids.length, Samplings.greedy(-1, -1));
    return new StepPlan(
        step, List.of(new SequenceStep(0, admission, 0, new Known(ids), new int[] {block}, true)));
  }

  private static Throwable causeOf(CompletableFuture<StepResult> result) {
    try {
      throw new AssertionError("the step yielded " + result.join());
    } catch (CompletionException failed) {
      return Objects.requireNonNull(failed.getCause());
    }
  }

  /** The rank stands still from here on, until the test is over. */
  private void hang() {
    started.countDown();
    awaitQuietly(released);
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aDeviceThatThrowsFailsEveryLaterPlanWithTheFirstCause() {
    IllegalStateException broken = new IllegalStateException("the device broke");
    LocalExecutor executor = start();
    try (executor) {
      assertThat(executor.submit(plan(0)).join().samples()).hasSize(1);
      assertThat(executor.failure()).isNull();
      hook =
          () -> {
            throw broken;
          };
      assertThat(causeOf(executor.submit(plan(1)))).isSameAs(broken);
      hook = () -> {};
      assertThat(causeOf(executor.submit(plan(2)))).isSameAs(broken);
      assertThat(causeOf(executor.submit(plan(3)))).isSameAs(broken);
      assertThat(executor.failure()).isSameAs(broken);
    }
    assertThat(device.closed()).isTrue();
    assertThat(executor.failure()).isSameAs(broken);
    assertThat(causeOf(executor.submit(plan(4)))).isSameAs(broken);
  }

  @Test
  void plansThatWaitBehindAFailureFailWithIt() throws InterruptedException {
    OutOfMemoryError broken = new OutOfMemoryError("no memory");
    hook =
        () -> {
          hang();
          throw broken;
        };
    try (LocalExecutor executor = start()) {
      List<CompletableFuture<StepResult>> results =
          List.of(executor.submit(plan(0)), executor.submit(plan(1)), executor.submit(plan(2)));
      started.await();
      released.countDown();
      assertThat(results).allSatisfy(result -> assertThat(causeOf(result)).isSameAs(broken));
      assertThat(executor.failure()).isSameAs(broken);
    }
  }

  @Test
  void aPlanThatNamesABlockThatIsNotThereFailsTheReplica() {
    try (LocalExecutor executor = start()) {
      int blocks = executor.kvBlocks();
      assertThat(causeOf(executor.submit(plan(0, blocks))))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("KV block " + blocks + " of " + blocks + " in slot 0");
      assertThat(executor.failure()).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void aPlanWithTooFewBlocksFailsTheReplica() {
    try (LocalExecutor executor = start()) {
      executor.submit(plan(0)).join();
      SequenceStep beyond =
          new SequenceStep(0, null, 16, new Known(new int[] {1}), new int[0], true);
      assertThat(causeOf(executor.submit(new StepPlan(1, List.of(beyond)))))
          .hasMessage("slot 0 has KV blocks for 16 tokens, the step ends at 17");
    }
  }

  @Test
  void aHungStepFailsWithTheStackOfItsThread() throws InterruptedException {
    // The clock runs a second for every look at it. The first step waits for three looks, so that
    // the watchdog has seen a step end and allows two seconds from then on.
    AtomicLong seconds = new AtomicLong();
    CountDownLatch seen = new CountDownLatch(3);
    StepWatchdog watchdog =
        new StepWatchdog(
            () -> {
              if (started.getCount() == 0) {
                seen.countDown();
              }
              return Duration.ofSeconds(seconds.incrementAndGet()).toNanos();
            });
    hook =
        () -> {
          started.countDown();
          awaitQuietly(seen);
        };
    try (LocalExecutor executor =
        LocalExecutor.start(OPTIONS, model.config(), model.weights(), device, watchdog)) {
      executor.submit(plan(0)).join();
      hook = this::hang;
      CompletableFuture<StepResult> hung = executor.submit(plan(41));
      Throwable cause = causeOf(hung);
      assertThat(cause)
          .isInstanceOf(StepTimeoutException.class)
          .hasMessageStartingWith("rank-0 made no progress for ")
          .hasMessageEndingWith("in step 41");
      assertThat(cause.getStackTrace()).anyMatch(frame -> frame.getMethodName().equals("hang"));
      assertThat(causeOf(executor.submit(plan(42)))).isSameAs(cause);
      assertThat(executor.failure()).isSameAs(cause);
      released.countDown();
    }
    assertThat(device.closed()).isTrue();
  }

  @Test
  void closingFailsTheStepThatRunsAndThoseThatWait() throws Exception {
    hook = this::hang;
    LocalExecutor executor = start();
    CompletableFuture<StepResult> running = executor.submit(plan(0));
    CompletableFuture<StepResult> waiting = executor.submit(plan(1));
    started.await();
    Future<?> closing = closeAside(executor);
    assertThat(causeOf(running))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the executor was closed");
    assertThat(causeOf(waiting)).hasMessage("the executor was closed");
    assertThat(device.closed()).isFalse();
    released.countDown();
    closing.get();
    assertThat(device.closed()).isTrue();
    assertThat(causeOf(executor.submit(plan(2)))).hasMessage("the executor was closed");
  }

  private static Future<?> closeAside(LocalExecutor executor) {
    FutureTask<?> closing = new FutureTask<>(executor::close, null);
    Thread.ofVirtual().start(closing);
    return closing;
  }

  @Test
  void closingTwiceIsAsClosingOnce() {
    LocalExecutor executor = start();
    executor.close();
    executor.close();
    assertThat(device.closed()).isTrue();
  }

  @Test
  void closesTheDeviceWhenTheArchitectureIsNotSupported() {
    ModelConfig known = model.config();
    ModelConfig config = withArchitecture(known, "MambaForCausalLM");
    assertThatThrownBy(() -> LocalExecutor.start(OPTIONS, config, model.weights(), device))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("MambaForCausalLM");
    awaitClosed();
  }

  private static ModelConfig withArchitecture(ModelConfig of, String architecture) {
    return new ModelConfig(
        architecture,
        of.hiddenSize(),
        of.intermediateSize(),
        of.layers(),
        of.heads(),
        of.kvHeads(),
        of.headDim(),
        of.vocabularySize(),
        of.maxPositions(),
        of.rmsEpsilon(),
        of.ropeTheta(),
        of.ropeScaling(),
        of.ropeInterleaved(),
        of.tiedEmbeddings(),
        of.attentionBias(),
        of.mlpBias(),
        of.endOfSequence());
  }

  @Test
  void refusesMorePositionsThanTheModelHas() {
    ExecutorOptions options = new ExecutorOptions(Topology.SINGLE, 257, 2, 16, 1 << 20, 16);
    assertThatThrownBy(() -> LocalExecutor.start(options, model.config(), model.weights(), device))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("--max-model-len 257 is more than the model's 256 positions");
    awaitClosed();
  }

  @Test
  void refusesACacheTooSmallForOneSequence() {
    ExecutorOptions options = new ExecutorOptions(Topology.SINGLE, 32, 2, 16, 1, 16);
    assertThatThrownBy(() -> LocalExecutor.start(options, model.config(), model.weights(), device))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("--kv-cache-memory-bytes 1 holds 0 blocks");
    awaitClosed();
  }

  /** The rank's thread closes its device in its own time. */
  private void awaitClosed() {
    while (!device.closed()) {
      Thread.onSpinWait();
    }
  }

  @Test
  void logitsThatAreNotNumbersYieldAnInvalidSampleAndTheReplicaLivesOn() {
    try (Arena arena = Arena.ofShared()) {
      WeightSource broken = new BrokenNorm(model.weights(), arena);
      try (LocalExecutor executor = LocalExecutor.start(OPTIONS, model.config(), broken, device)) {
        Sample sample = executor.submit(plan(0)).join().samples().getFirst();
        assertThat(sample).isEqualTo(new Sample(0, Sample.INVALID, null));
        assertThat(executor.failure()).isNull();
        SequenceStep next =
            new SequenceStep(
                0, null, 3, new StepPlan.TokenInput.PreviousSample(), new int[0], true);
        assertThat(executor.submit(new StepPlan(1, List.of(next))).join().samples()).hasSize(1);
      }
    }
  }

  /** Weights whose last norm holds no number. */
  private record BrokenNorm(WeightSource weights, Arena arena) implements WeightSource {
    @Override
    public boolean has(String name) {
      return weights.has(name);
    }

    @Override
    public StoredTensor tensor(String name, long... shape) {
      StoredTensor stored = weights.tensor(name, shape);
      if (!name.equals("model.norm.weight")) {
        return stored;
      }
      MemorySegment data = arena.allocate(stored.data().byteSize()).fill((byte) 0xff);
      return new StoredTensor(name, stored.type(), stored.shape(), data);
    }

    @Override
    public long totalBytes() {
      return weights.totalBytes();
    }

    @Override
    public void close() {}
  }
}
