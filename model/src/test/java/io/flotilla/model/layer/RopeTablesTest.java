package io.flotilla.model.layer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.kernels.RopeTable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RopeTablesTest {
  private record Rope(int headDim, double theta, RopeScaling scaling) {}

  private static final RopeScaling.Yarn YARN =
      new RopeScaling.Yarn(4, 32, 1, (float) (0.1 * Math.log(4) + 1), 32768, true);

  /** The configurations of {@code make_rope_goldens.py}. */
  private static Rope rope(String name) {
    return switch (name) {
      case "default" -> new Rope(64, 100_000, new RopeScaling.None());
      case "linear" -> new Rope(64, 10_000, new RopeScaling.Linear(2.5f));
      case "llama3" -> new Rope(128, 500_000, new RopeScaling.Llama3(8, 1, 4, 8192));
      case "llama3-32" -> new Rope(64, 500_000, new RopeScaling.Llama3(32, 1, 4, 8192));
      case "yarn" -> new Rope(128, 1_000_000, YARN);
      case "yarn-untruncated" ->
          new Rope(
              128, 1_000_000, new RopeScaling.Yarn(4, 32, 1, YARN.attentionFactor(), 32768, false));
      case "yarn-betas" -> new Rope(80, 10_000, new RopeScaling.Yarn(16, 20, 2, 1.25f, 256, true));
      default -> throw new IllegalArgumentException(name);
    };
  }

  private static double[] golden(String name) throws IOException {
    try (InputStream stream = RopeTablesTest.class.getResourceAsStream("rope.txt")) {
      byte[] bytes = Objects.requireNonNull(stream).readAllBytes();
      String line =
          new String(bytes, StandardCharsets.UTF_8)
              .lines()
              .filter(candidate -> candidate.startsWith(name + " "))
              .findFirst()
              .orElseThrow();
      return Arrays.stream(line.split(" ", -1)).skip(1).mapToDouble(Double::parseDouble).toArray();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "default",
        "linear",
        "llama3",
        "llama3-32",
        "yarn",
        "yarn-untruncated",
        "yarn-betas"
      })
  void frequenciesAreThoseOfTransformers(String name) throws IOException {
    Rope rope = rope(name);
    float[] frequencies = RopeTables.inverseFrequencies(rope.headDim, rope.theta, rope.scaling);
    double[] golden = golden(name);
    assertThat(frequencies).hasSize(golden.length - 1);
    for (int i = 0; i < frequencies.length; i++) {
      assertThat((double) frequencies[i])
          .as("frequency %d", i)
          .isCloseTo(golden[i + 1], Percentage.withPercentage(1e-4));
    }
    if (rope.scaling instanceof RopeScaling.Yarn yarn) {
      assertThat((double) yarn.attentionFactor()).isCloseTo(golden[0], within(1e-7));
    }
  }

  @Test
  void explicitDivisorsDivideEachFrequency() {
    float[] plain = RopeTables.inverseFrequencies(4, 100, new RopeScaling.None());
    float[] divided =
        RopeTables.inverseFrequencies(4, 100, new RopeScaling.Factors(List.of(2f, 8f)));
    assertThat(plain).containsExactly(1f, 0.1f);
    assertThat(divided).containsExactly(0.5f, 0.1f / 8);
  }

  @Test
  void aRowHoldsCosinesThenSines() {
    float[] angles = table(config(new RopeScaling.None(), false), 3);
    assertThat(angles).hasSize(3 * 4);
    assertThat(Arrays.copyOf(angles, 4)).containsExactly(1, 1, 0, 0);
    for (int position = 0; position < 3; position++) {
      for (int i = 0; i < 2; i++) {
        double angle = position * Math.pow(100, -i / 2.0);
        assertThat((double) angles[4 * position + i]).isCloseTo(Math.cos(angle), within(1e-6));
        assertThat((double) angles[4 * position + 2 + i]).isCloseTo(Math.sin(angle), within(1e-6));
      }
    }
  }

  @Test
  void theAttentionFactorMultipliesCosinesAndSines() {
    RopeScaling.Yarn single = new RopeScaling.Yarn(4, 32, 1, 1f, 16, true);
    RopeScaling.Yarn scaled = new RopeScaling.Yarn(4, 32, 1, 1.5f, 16, true);
    float[] expected = table(config(single, false), 5);
    for (int i = 0; i < expected.length; i++) {
      expected[i] *= 1.5f;
    }
    assertThat(table(config(scaled, false), 5)).containsExactly(expected);
  }

  @Test
  void theTableKnowsWhichPairsAreRotated() {
    try (OneDevice device = new OneDevice(new FakeWeights())) {
      ModelConfig neighbours = config(new RopeScaling.None(), true);
      ModelConfig halves = config(new RopeScaling.None(), false);
      assertThat(RopeTables.load(device.loader(), neighbours, 1).interleaved()).isTrue();
      assertThat(RopeTables.load(device.loader(), halves, 1).interleaved()).isFalse();
    }
  }

  private static float[] table(ModelConfig config, int positions) {
    try (OneDevice device = new OneDevice(new FakeWeights())) {
      RopeTable table = RopeTables.load(device.loader(), config, positions);
      return device.download(table.angles());
    }
  }

  private static ModelConfig config(RopeScaling scaling, boolean interleaved) {
    return new ModelConfig(
        "LlamaForCausalLM",
        8,
        8,
        1,
        2,
        1,
        4,
        10,
        64,
        1e-6f,
        100,
        scaling,
        interleaved,
        false,
        false,
        false,
        List.of());
  }
}
