package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.executor.wire.Frame;
import io.flotilla.executor.wire.FrameKind;
import io.flotilla.executor.wire.FramePool;
import io.flotilla.executor.wire.Frames;
import io.flotilla.executor.wire.NodeException;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class StepCodecTest {
  private static final int DRAWN = 200;

  private final FramePool pool = new FramePool();

  static IntStream seeds() {
    return IntStream.range(0, DRAWN);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void plansComeAsTheyWereSent(int seed) {
    StepPlan plan = plan(new Random(seed));
    Frame sent = pool.begin(FrameKind.PLAN);
    StepCodec.write(plan, sent);
    assertThat(StepCodec.readPlan(Frames.delivered(sent)))
        .usingRecursiveComparison()
        .isEqualTo(plan);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void resultsComeAsTheyWereSent(int seed) {
    StepResult result = result(new Random(seed));
    Frame sent = pool.begin(FrameKind.RESULT);
    StepCodec.write(result, sent);
    assertThat(StepCodec.readResult(Frames.delivered(sent)))
        .usingRecursiveComparison()
        .isEqualTo(result);
  }

  /** Every field has its own value, so that none can be taken for another. */
  @Test
  void everyFieldOfAPlanHasItsPlace() {
    SamplingParameters sampling =
        new SamplingParameters(
            0.1f,
            2,
            0.3f,
            0.4f,
            0.5f,
            0.6f,
            0.7f,
            Map.of(8, 0.8f),
            1L << 40,
            9,
            10,
            List.of(11, 12),
            13,
            14);
    SequenceStep sequence =
        new SequenceStep(
            15,
            new Admission(new int[] {16, 17}, 18, sampling),
            19,
            new Known(new int[] {20}),
            new int[] {21, 22},
            true);
    StepPlan plan = new StepPlan(1L << 41, List.of(sequence));
    Frame sent = pool.begin(FrameKind.PLAN);
    StepCodec.write(plan, sent);
    assertThat(StepCodec.readPlan(Frames.delivered(sent)))
        .usingRecursiveComparison()
        .isEqualTo(plan);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void aPlanThatIsCutOffIsRefused(int seed) {
    Random random = new Random(seed);
    Frame sent = pool.begin(FrameKind.PLAN);
    StepCodec.write(plan(random), sent);
    byte[] bytes = Frames.bytes(sent);
    int header = Frames.bytes(pool.begin(FrameKind.PLAN)).length;
    byte[] cut = Arrays.copyOf(bytes, header + random.nextInt(bytes.length - header));
    assertThatThrownBy(() -> StepCodec.readPlan(Frames.delivered(cut)))
        .isInstanceOf(NodeException.class);
    byte[] longer = Arrays.copyOf(bytes, bytes.length + 1);
    assertThatThrownBy(() -> StepCodec.readPlan(Frames.delivered(longer)))
        .hasMessageContaining("1 bytes too many");
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void noiseIsRefusedOrAPlan(int seed) {
    Random random = new Random(seed);
    Frame sent = pool.begin(FrameKind.PLAN);
    StepCodec.write(plan(random), sent);
    byte[] bytes = Frames.bytes(sent);
    int header = Frames.bytes(pool.begin(FrameKind.PLAN)).length;
    for (int i = 0; i < 8; i++) {
      bytes[header + random.nextInt(bytes.length - header)] = (byte) random.nextInt();
    }
    try {
      assertThat(StepCodec.readPlan(Frames.delivered(bytes)).sequences()).isNotNull();
    } catch (NodeException refused) {
      assertThat(refused).hasMessageMatching("a (frame|plan) .*");
    }
  }

  private static StepPlan plan(Random random) {
    return new StepPlan(random.nextLong(), list(random, 6, _ -> sequence(random)));
  }

  private static SequenceStep sequence(Random random) {
    Admission admission =
        random.nextBoolean()
            ? new Admission(ints(random, 400), random.nextInt(), sampling(random))
            : null;
    TokenInput tokens = random.nextBoolean() ? new Known(ints(random, 3000)) : new PreviousSample();
    return new SequenceStep(
        random.nextInt(),
        admission,
        random.nextInt(),
        tokens,
        ints(random, 40),
        random.nextBoolean());
  }

  private static SamplingParameters sampling(Random random) {
    Map<Integer, Float> biases = new HashMap<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      biases.put(random.nextInt(), random.nextFloat());
    }
    return new SamplingParameters(
        random.nextFloat(),
        random.nextInt(),
        random.nextFloat(),
        random.nextFloat(),
        random.nextFloat(),
        random.nextFloat(),
        Float.NEGATIVE_INFINITY,
        biases,
        random.nextLong(),
        random.nextInt(),
        random.nextInt(),
        list(random, 5, _ -> random.nextInt()),
        random.nextInt(),
        random.nextInt());
  }

  private static StepResult result(Random random) {
    return new StepResult(
        random.nextLong(),
        list(
            random,
            6,
            _ -> new Sample(random.nextInt(), random.nextInt(), maybe(random, logprobs(random)))),
        list(
            random,
            3,
            _ ->
                new PromptLogprobs(
                    random.nextInt(), random.nextInt(), list(random, 50, _ -> logprobs(random)))));
  }

  private static TokenLogprobs logprobs(Random random) {
    int[] tokens = ints(random, 20);
    float[] scores = new float[tokens.length];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = -random.nextFloat();
    }
    return new TokenLogprobs(
        random.nextInt(), -random.nextFloat(), random.nextInt(), tokens, scores);
  }

  private static <T> @Nullable T maybe(Random random, T value) {
    return random.nextBoolean() ? value : null;
  }

  private static int[] ints(Random random, int most) {
    return random.ints(random.nextInt(most)).toArray();
  }

  private static <T> List<T> list(Random random, int most, IntFunction<T> item) {
    return IntStream.range(0, random.nextInt(most)).mapToObj(item).toList();
  }
}
