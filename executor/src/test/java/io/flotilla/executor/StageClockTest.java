package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class StageClockTest {
  private static final ModelConfig CONFIG = TinyModel.config("Qwen3ForCausalLM", 4, 2, 64, 300);
  private static final long PAUSE = 4_000_000;

  private long now = 10;
  private final StageClock clock = new StageClock(() -> now);

  @Test
  void countsWhatRunsToo() {
    clock.start();
    now += 7;
    assertThat(clock.nanos()).isEqualTo(7);
    clock.start();
    now += 3;
    assertThat(clock.nanos()).isEqualTo(10);
  }

  @Test
  void doesNotCountRest() {
    clock.start();
    now += 7;
    clock.stop();
    now += 100;
    assertThat(clock.nanos()).isEqualTo(7);
    clock.stop();
    clock.start();
    now += 2;
    assertThat(clock.nanos()).isEqualTo(9);
  }

  /** The second stage sleeps in every layer; the first waits for its samples meanwhile. */
  @Test
  void aStageThatWaitsForAnotherIsNotBusy() {
    ExecutorOptions options = TinyModel.options(1, 2, List.of());
    List<Device> devices = new ArrayList<>();
    for (Device device : TinyModel.devices(options.topology())) {
      boolean slow = !devices.isEmpty();
      devices.add(new HookedDevice(device, operation -> pause(slow, operation)));
    }
    Request request = new Request(new int[] {1, 2, 3}, 12, SamplingParameters.greedy());
    CpuInterconnect interconnect = new CpuInterconnect();
    try (DummyWeights weights = new DummyWeights(CONFIG, ElementType.F32, 1);
        LocalExecutor executor =
            LocalExecutor.start(
                options,
                CONFIG,
                weights,
                devices,
                (members, messages, abort) ->
                    interconnect.connect(
                        members.stream().map(d -> ((HookedDevice) d).inner()).toList(),
                        messages,
                        abort))) {
      StepDriver.run(executor, List.of(request), 1); // Code is loaded and compiled meanwhile.
      long[] before = executor.busyNanos();
      StepDriver.run(executor, List.of(request), 1);
      long[] busy = executor.busyNanos();
      assertThat(busy[1] - before[1]).isGreaterThan(12 * 4 * PAUSE);
      assertThat(busy[0] - before[0]).isPositive().isLessThan((busy[1] - before[1]) / 2);
    }
  }

  private static void pause(boolean slow, String operation) {
    if (slow && operation.equals("siluMultiply")) {
      LockSupport.parkNanos(PAUSE);
    }
  }
}
