package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.flotilla.executor.StepDriver.Generated;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A device that samples yields what the host would have sampled, in any company. */
class DeviceSamplingTest {
  private static final int SLOTS = 6;
  private static final int VOCABULARY = 113;

  private final OpenModel model = OpenModel.open("tiny-qwen3");

  private LocalExecutor start(int tensor, UnaryOperator<Device> use) {
    ExecutorOptions options =
        new ExecutorOptions(
            new Topology(1, 1, tensor, 1, 1, false),
            TinyModel.MAX_LENGTH,
            SLOTS,
            TinyModel.MAX_ROWS,
            64L << 20,
            TinyModel.BLOCK_SIZE);
    List<Device> devices = TinyModel.devices(options.topology());
    Interconnect interconnect =
        (_, messages, abort) -> new CpuInterconnect().connect(devices, messages, abort);
    List<Device> used = devices.stream().map(use).toList();
    return LocalExecutor.start(options, model.config(), model.weights(), used, interconnect);
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "2, 1", "3, 1", "4, 1", "1, 2", "2, 2"})
  void choosesAsTheHostDoes(long seed, int tensor) {
    List<Request> requests = requests(new Random(seed));
    List<ReferenceSampling> samplings = new ArrayList<>();
    List<Generated> onHost;
    List<Generated> onDevice;
    try (LocalExecutor executor = start(tensor, UnaryOperator.identity())) {
      onHost = StepDriver.run(executor, requests, seed);
    }
    UnaryOperator<Device> use =
        device -> {
          samplings.add(new ReferenceSampling());
          return samplings.getLast().on(device);
        };
    try (LocalExecutor executor = start(tensor, use)) {
      onDevice = StepDriver.run(executor, requests, seed);
    }
    // All ranks that share a stage choose.
    int sampled = samplings.getFirst().sampled;
    assertThat(sampled).isPositive();
    assertThat(samplings).hasSize(tensor).allMatch(sampling -> sampling.sampled == sampled);
    for (int i = 0; i < requests.size(); i++) {
      SamplingParameters parameters = requests.get(i).sampling();
      assertThat(onDevice.get(i).tokens())
          .as("%s", parameters)
          .containsExactly(onHost.get(i).tokens());
      for (int j = 0; j < onHost.get(i).samples().size(); j++) {
        assertSame(onDevice.get(i).samples().get(j), onHost.get(i).samples().get(j));
      }
      assertThat(onDevice.get(i).prompt()).hasSameSizeAs(onHost.get(i).prompt());
    }
    model.close();
  }

  private static void assertSame(Sample actual, Sample expected) {
    TokenLogprobs logprobs = expected.logprobs();
    if (logprobs == null) {
      assertThat(actual.logprobs()).isNull();
      return;
    }
    TokenLogprobs found = actual.logprobs();
    assertThat(found).isNotNull();
    assertThat(found.token()).isEqualTo(logprobs.token());
    assertThat(found.rank()).isEqualTo(logprobs.rank());
    assertThat(found.logprob()).isCloseTo(logprobs.logprob(), within(1e-5f));
    assertThat(found.topTokens()).containsExactly(logprobs.topTokens());
    assertThat(found.topLogprobs()).hasSameSizeAs(logprobs.topLogprobs());
  }

  /** One of each kind, so that every step mixes them. */
  private static List<Request> requests(Random random) {
    List<Request> requests = new ArrayList<>();
    for (int slot = 0; slot < SLOTS; slot++) {
      int[] prompt = random.ints(1 + random.nextInt(12), 0, VOCABULARY).toArray();
      requests.add(new Request(prompt, 12, parameters(slot, random)));
    }
    return requests;
  }

  private static SamplingParameters parameters(int kind, Random random) {
    boolean penalties = kind == 1 || kind == 2;
    Map<Integer, Float> bias = new HashMap<>();
    if (kind == 2 || kind == 3) {
      random.ints(20, -3, VOCABULARY + 3).forEach(id -> bias.put(id, 4 * random.nextFloat()));
    }
    return new SamplingParameters(
        kind == 1 || kind == 3 ? 0 : 0.7f + random.nextFloat(),
        kind == 0 ? 1 + random.nextInt(20) : 0,
        kind == 0 || kind == 4 ? 0.5f + random.nextFloat() / 2 : 1,
        kind == 4 ? 0.02f : 0,
        penalties ? 1.4f : 1,
        penalties ? 1.5f : 0,
        penalties ? 0.6f : 0,
        bias,
        random.nextLong(),
        random.nextInt(3),
        kind == 3 ? 8 : 0,
        kind == 3 ? random.ints(60, 0, VOCABULARY).boxed().distinct().toList() : List.of(),
        kind == 4 ? 5 : kind == 5 ? 3 : -1,
        kind == 5 ? 2 : -1);
  }

  @Test
  void leavesToTheHostWhatItDoesNotKeep() {
    assertThat(DeviceChoices.canChoose(with(1, Map.of(), 20, -1))).isTrue();
    assertThat(DeviceChoices.canChoose(with(1, Map.of(), 21, -1))).isFalse();
    assertThat(DeviceChoices.canChoose(with(1, Map.of(), -1, 0))).isFalse();
    assertThat(DeviceChoices.canChoose(with(1.1f, Map.of(), -1, -1))).isTrue();
    assertThat(DeviceChoices.canChoose(with(1.1f, Map.of(), 0, -1))).isFalse();
    assertThat(DeviceChoices.canChoose(with(1, Map.of(3, 1f), 0, -1))).isFalse();
    Map<Integer, Float> many = new HashMap<>();
    for (int id = 0; id < 257; id++) {
      many.put(id, 1f);
    }
    assertThat(DeviceChoices.canChoose(with(1, many, -1, -1))).isFalse();
    many.remove(0);
    assertThat(DeviceChoices.canChoose(with(1, many, -1, -1))).isTrue();
  }

  private static SamplingParameters with(
      float repetition, Map<Integer, Float> bias, int logprobs, int promptLogprobs) {
    return new SamplingParameters(
        1, 0, 1, 0, repetition, 0, 0, bias, 0, 0, 0, List.of(), logprobs, promptLogprobs);
  }
}
