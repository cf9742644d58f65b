package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class RankFailureTest {
  private static final ModelConfig CONFIG = TinyModel.config("Qwen3ForCausalLM", 8, 4, 256, 300);
  private static final Request REQUEST =
      new Request(new int[] {1, 2, 3, 4, 5}, 20, SamplingParameters.greedy());

  private final TinyModel model =
      new TinyModel("tiny", CONFIG, new DummyWeights(CONFIG, ElementType.F32, 3));
  private final AtomicInteger allReduces = new AtomicInteger();
  private final CountDownLatch released = new CountDownLatch(1);

  @AfterEach
  void close() {
    released.countDown();
    model.close();
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1,1,0",
    "2,1,1,1,1",
    "4,1,1,1,2",
    "1,2,1,1,0",
    "1,2,1,1,1",
    "2,2,1,1,3",
    "2,4,1,1,5",
    "8,1,1,1,7",
    "1,1,2,1,1",
    "2,1,2,1,2",
    "1,2,2,1,3",
    "8,1,1,2,5"
  })
  void aRankThatThrowsFailsTheReplicaWithItsCause(
      int tensor, int pipeline, int prefillContext, int decodeContext, int rank) {
    IllegalStateException cause = new IllegalStateException("the device is on fire");
    try (LocalExecutor executor =
        start(
            new Topology(1, pipeline, tensor, prefillContext, decodeContext, false),
            rank,
            () -> {
              throw cause;
            })) {
      assertThatThrownBy(() -> StepDriver.run(executor, List.of(REQUEST), 1))
          .isInstanceOf(CompletionException.class)
          .hasCause(cause);
      assertThat(executor.failure()).isSameAs(cause);
      assertThatThrownBy(() -> StepDriver.run(executor, List.of(REQUEST), 1)).hasCause(cause);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "2,1,1,1,0",
    "2,1,1,1,1",
    "1,2,1,1,0",
    "1,2,1,1,1",
    "2,2,1,1,2",
    "1,1,2,1,0",
    "1,1,2,1,1",
    "8,1,1,2,3"
  })
  void aRankThatHangsFailsTheReplicaAndIsNamed(
      int tensor, int pipeline, int prefillContext, int decodeContext, int rank) {
    Topology topology = new Topology(1, pipeline, tensor, prefillContext, decodeContext, false);
    try (LocalExecutor executor = start(topology, rank, () -> HookedDevice.hang(released))) {
      assertThatThrownBy(() -> StepDriver.run(executor, List.of(REQUEST), 1))
          .hasCauseInstanceOf(StepTimeoutException.class)
          .hasMessageContaining("rank-" + rank + " made no progress for");
      assertThat(executor.failure()).isInstanceOf(StepTimeoutException.class);
      released.countDown();
    }
  }

  @Test
  void aModelThatLacksATensorStartsNoRank() {
    ModelConfig larger = TinyModel.config("LlamaForCausalLM", 8, 4, 512, 300);
    TinyModel other = new TinyModel("other", larger, model.weights());
    assertThatThrownBy(() -> other.start(2, 2)).hasMessageContaining("has shape");
  }

  @Test
  void aRankThatCannotLoadKeepsTheOthersFromLoadingOn() {
    IllegalStateException cause = new IllegalStateException("the disk is on fire");
    CountDownLatch thrown = new CountDownLatch(1);
    AtomicInteger loaded = new AtomicInteger();
    WeightSource burning =
        HookedDevice.hooked(
            WeightSource.class,
            model.weights(),
            method -> {
              if (!method.equals("tensor")) {
                return;
              }
              if (Thread.currentThread().getName().equals("rank-1")) {
                thrown.countDown();
                throw cause;
              }
              loaded.incrementAndGet();
              awaitFailure(thrown);
            });
    TinyModel broken = new TinyModel("broken", CONFIG, burning);
    assertThatThrownBy(() -> broken.start(2, 1)).isSameAs(cause);
    assertThat(loaded).hasValue(1);
  }

  private static void awaitFailure(CountDownLatch thrown) {
    try {
      thrown.await();
      Thread.sleep(200);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void ranksSumAfterEmbeddingAttentionAndMlpAlone() {
    try (LocalExecutor executor = start(new Topology(1, 1, 2, 1, 1, false), 0, () -> {})) {
      StepPlan.Admission admission =
          new StepPlan.Admission(new int[] {1, 2, 3}, 3, SamplingParameters.greedy());
      executor
          .submit(
              new StepPlan(
                  0,
                  List.of(
                      new StepPlan.SequenceStep(
                          0,
                          admission,
                          0,
                          new StepPlan.TokenInput.Known(new int[] {1, 2, 3}),
                          new int[] {0},
                          true))))
          .join();
      assertThat(allReduces).hasValue(2 * (1 + 2 * CONFIG.layers()));
    }
  }

  /**
   * One rank does something in its 40th MLP, when every rank has run a step, and the watchdog, for
   * which its 20th is slow, has seen one.
   */
  private LocalExecutor start(Topology topology, int rank, Runnable fault) {
    List<Device> devices = new ArrayList<>();
    ExecutorOptions options = TinyModel.options(topology, List.of());
    for (Device device : TinyModel.devices(options.topology())) {
      AtomicInteger calls = new AtomicInteger();
      boolean faulty = devices.size() == rank;
      devices.add(
          new HookedDevice(
              device,
              method -> {
                if (faulty && method.equals("siluMultiply")) {
                  switch (calls.incrementAndGet()) {
                    case 20 -> HookedDevice.pause();
                    case 40 -> fault.run();
                    default -> {}
                  }
                }
              }));
    }
    Interconnect interconnect =
        (members, messages, abort) ->
            new CpuInterconnect()
                .connect(inner(members), messages, abort).stream()
                    .map(side -> HookedDevice.hooked(Collectives.class, side, this::count))
                    .toList();
    return LocalExecutor.start(options, CONFIG, model.weights(), devices, interconnect);
  }

  private static List<Device> inner(List<Device> members) {
    return members.stream().map(member -> ((HookedDevice) member).inner()).toList();
  }

  private void count(String method) {
    if (method.equals("allReduce")) {
      allReduces.incrementAndGet();
    }
  }
}
