package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.kernels.cuda.CudaDeviceProvider;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two ranks with a GPU each, whose kernels wait for one another. */
@Timeout(60)
class GpuFailureTest {
  private static final ModelConfig CONFIG = GpuLayoutTest.config("Qwen3ForCausalLM");
  private static final Request REQUEST =
      new Request(new int[] {1, 2, 3, 4, 5}, 20, SamplingParameters.greedy());

  private final CountDownLatch released = new CountDownLatch(1);
  private final CudaDeviceProvider provider = new CudaDeviceProvider();

  @Test
  void aRankThatHangsEndsTheKernelsOfTheOtherAndIsNamed() {
    try (TinyModel model =
            new TinyModel("tiny", CONFIG, new DummyWeights(CONFIG, ElementType.BF16, 3));
        LocalExecutor executor = start(model, () -> HookedDevice.hang(released))) {
      assertThatThrownBy(() -> StepDriver.run(executor, List.of(REQUEST), 1))
          .hasCauseInstanceOf(StepTimeoutException.class)
          .hasMessageContaining("rank-1 made no progress for");
      // Closing waits for kernels, which would go on for ever.
      released.countDown();
    }
  }

  @Test
  void aRankThatThrowsIsTheCause() {
    IllegalStateException cause = new IllegalStateException("the device is on fire");
    Runnable fault =
        () -> {
          throw cause;
        };
    try (TinyModel model =
            new TinyModel("tiny", CONFIG, new DummyWeights(CONFIG, ElementType.BF16, 3));
        LocalExecutor executor = start(model, fault)) {
      assertThatThrownBy(() -> StepDriver.run(executor, List.of(REQUEST), 1)).hasCause(cause);
      assertThat(executor.failure()).isSameAs(cause);
    }
  }

  /**
   * Rank 1 is slow in its first MLP, so that the watchdog sees a step, and has a fault in the
   * second of the second step, when rank 0 has all of that step on its GPU.
   */
  private LocalExecutor start(TinyModel model, Runnable fault) {
    Optional<String> obstacle = provider.obstacle();
    assumeTrue(obstacle.isEmpty(), () -> "needs a GPU: " + obstacle.orElse(""));
    AtomicInteger calls = new AtomicInteger();
    List<Device> devices = new ArrayList<>();
    devices.add(provider.open(0));
    try {
      devices.add(provider.open(1));
    } catch (IllegalArgumentException e) {
      devices.forEach(Device::close);
      assumeTrue(false, e.getMessage());
    }
    HookedDevice hooked =
        new HookedDevice(
            devices.get(1),
            method -> {
              if (method.equals("siluMultiply")) {
                switch (calls.incrementAndGet()) {
                  case 1 -> HookedDevice.pause();
                  case 6 -> fault.run();
                  default -> {}
                }
              }
            });
    Interconnect interconnect =
        (members, messages, abort) ->
            members.size() == 1
                ? provider.interconnect().connect(members, messages, abort)
                : provider.interconnect().connect(devices, messages, abort);
    return LocalExecutor.start(
        TinyModel.options(2, 1, List.of()),
        CONFIG,
        model.weights(),
        List.of(devices.get(0), hooked),
        interconnect);
  }
}
