package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.TokenChoice;
import io.flotilla.kernels.TokenSampling;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenCounts;
import io.flotilla.model.sampling.TokenLogprobs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The device's choices are the host's. */
@Tag("emulated")
class CudaSamplingTest {
  private static final int ROWS = 48;
  private static final int LENGTH = 700;
  private static final int REPORT = 2 + 2 * TokenSampling.MOST_LIKELIEST;

  /** A row's logits, parameters and tokens so far. */
  private record Row(
      float[] logits, SamplingParameters parameters, int[] history, int promptTokens) {
    int index() {
      return history.length - promptTokens;
    }
  }

  @ParameterizedTest
  @CsvSource({"100, 1", "1000, 2", "49152, 3", "151936, 4", "151936, 5", "151936, 6"})
  void choosesAsTheHostDoes(int vocabulary, long seed) {
    Random random = new Random(seed);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      rows.add(row(i, vocabulary, random));
    }
    try (DevicePair devices = new DevicePair(seed);
        Arena arena = Arena.ofConfined()) {
      compare(rows, vocabulary, devices.gpu, devices.gpuStream, arena);
    }
  }

  private static Row row(int number, int vocabulary, Random random) {
    float[] logits = new float[vocabulary];
    int kind = number % 6;
    for (int id = 0; id < vocabulary; id++) {
      float value = 3 * (float) random.nextGaussian();
      logits[id] =
          switch (kind) {
            case 0 -> Math.round(value); // Many are equal.
            case 1 -> number == 1 ? 1.5f : value + (random.nextInt(500) == 0 ? 12 : 0);
            case 2 -> random.nextInt(9) == 0 ? Float.NaN : value;
            case 3 -> random.nextInt(9) == 0 ? Float.NEGATIVE_INFINITY : value;
            case 4 -> value / 1000;
            default -> value;
          };
    }
    if (number == 8) {
      java.util.Arrays.fill(logits, Float.NaN);
    }
    logits[random.nextInt(vocabulary)] = number % 7 == 0 ? Float.POSITIVE_INFINITY : 0;
    int[] history = random.ints(random.nextInt(LENGTH), 0, vocabulary).toArray();
    for (int i = 1; i < history.length; i++) {
      history[i] = random.nextInt(3) == 0 ? history[i - 1] : history[i];
    }
    int promptTokens = history.length == 0 ? 0 : random.nextInt(history.length);
    return new Row(logits, parameters(number, vocabulary, random), history, promptTokens);
  }

  private static SamplingParameters parameters(int number, int vocabulary, Random random) {
    int[] tops = {0, 0, 1, 5, 50, 3000, vocabulary + 1};
    float[] shares = {1, 1, 0.05f, 0.5f, 0.9f, 0.95f, 0.9999f};
    boolean reports = number % 4 == 3;
    boolean penalties = !reports && random.nextBoolean();
    Map<Integer, Float> bias = new HashMap<>();
    List<Integer> masked = List.of();
    if (!reports && random.nextBoolean()) {
      random.ints(50, -9, vocabulary + 9).forEach(id -> bias.put(id, random.nextFloat() * 20 - 8));
      masked = random.ints(30, -9, vocabulary + 9).boxed().distinct().toList();
    }
    return new SamplingParameters(
        random.nextInt(4) == 0 ? 0 : 0.3f + random.nextFloat(),
        tops[random.nextInt(tops.length)],
        shares[random.nextInt(shares.length)],
        random.nextInt(3) == 0 ? random.nextFloat() / 10 : 0,
        penalties ? 1.3f : 1,
        penalties ? 0.7f : 0,
        penalties ? 0.3f : 0,
        bias,
        random.nextLong(),
        random.nextInt(4),
        LENGTH,
        masked,
        reports ? random.nextInt(21) : -1,
        -1);
  }

  private static void compare(
      List<Row> rows, int vocabulary, Device gpu, Stream stream, Arena arena) {
    TokenSampling sampling = gpu.sampling().orElseThrow();
    MemorySegment logits = gpu.allocateHost(arena, 4L * ROWS * vocabulary);
    MemorySegment histories = gpu.allocateHost(arena, 4L * ROWS * LENGTH);
    MemorySegment described = gpu.allocateHost(arena, ROWS * sampling.rowBytes());
    MemorySegment edits = gpu.allocateHost(arena, ROWS * 100 * sampling.editBytes());
    int edited = 0;
    for (int i = 0; i < ROWS; i++) {
      Row row = rows.get(i);
      MemorySegment.copy(row.logits, 0, logits, JAVA_FLOAT, 4L * i * vocabulary, row.logits.length);
      MemorySegment.copy(row.history, 0, histories, JAVA_INT, 4L * i * LENGTH, row.history.length);
      SamplingParameters parameters = row.parameters;
      int first = edited;
      for (Map.Entry<Integer, Float> bias : parameters.logitBias().entrySet()) {
        sampling.edit(edits, edited++, bias.getKey(), bias.getValue());
      }
      for (int id : parameters.stopTokens()) {
        sampling.edit(edits, edited++, id, 0);
      }
      sampling.describe(described, i, choice(row, i, first));
    }
    Tensor onGpu = Tensor.of(uploaded(gpu, stream, logits), TensorType.F32, ROWS, vocabulary);
    Tensor last = Tensor.allocate(gpu, TensorType.I32, 1, ROWS);
    Tensor known = Tensor.of(uploaded(gpu, stream, histories), TensorType.I32, ROWS, LENGTH);
    Tensor tokens = Tensor.allocate(gpu, TensorType.I32, 1, ROWS);
    Tensor reports = Tensor.allocate(gpu, TensorType.I32, ROWS, REPORT);
    sampling.sample(
        stream,
        new TokenSampling.Rows(
            onGpu, uploaded(gpu, stream, described), uploaded(gpu, stream, edits), true, true),
        new TokenSampling.Sequences(last, known),
        new TokenSampling.Choices(tokens, reports));
    MemorySegment chosen = downloaded(gpu, stream, arena, tokens);
    MemorySegment reported = downloaded(gpu, stream, arena, reports);
    MemorySegment lasts = downloaded(gpu, stream, arena, last);
    MemorySegment grown = downloaded(gpu, stream, arena, known);
    Sampler sampler = new Sampler(vocabulary);
    for (int i = 0; i < ROWS; i++) {
      Row row = rows.get(i);
      int expected = onHost(sampler, row);
      int token = chosen.getAtIndex(JAVA_INT, i);
      assertThat(token).as("row %d, %s", i, row.parameters).isEqualTo(expected);
      assertThat(lasts.getAtIndex(JAVA_INT, i)).isEqualTo(Math.max(token, 0));
      if (Sampler.penalises(row.parameters)) {
        int at = i * LENGTH + row.history.length;
        assertThat(grown.getAtIndex(JAVA_INT, at)).isEqualTo(Math.max(token, 0));
      }
      if (token >= 0 && row.parameters.logprobs() >= 0) {
        assertReport(reported.asSlice(4L * i * REPORT, 4L * REPORT), sampler, row, token);
      }
    }
  }

  private static TokenChoice choice(Row row, int slot, int firstEdit) {
    SamplingParameters parameters = row.parameters;
    TokenChoice.Penalties penalties =
        new TokenChoice.Penalties(
            row.history.length,
            row.promptTokens,
            parameters.repetitionPenalty(),
            parameters.presencePenalty(),
            parameters.frequencyPenalty());
    return new TokenChoice(
        slot,
        Sampler.noiseKey(parameters, row.index()),
        parameters.temperature(),
        Sampler.leastValue(parameters),
        parameters.topK(),
        parameters.topP(),
        Sampler.penalises(parameters) ? penalties : null,
        new TokenChoice.Edits(
            firstEdit, parameters.logitBias().size(), parameters.stopTokens().size()),
        parameters.logprobs());
  }

  private static int onHost(Sampler sampler, Row row) {
    TokenCounts counts = new TokenCounts();
    for (int i = 0; i < row.history.length; i++) {
      if (i < row.promptTokens) {
        counts.addPrompt(row.history[i]);
      } else {
        counts.addOutput(row.history[i]);
      }
    }
    return sampler.sample(row.logits.clone(), row.parameters, row.index(), counts);
  }

  private static void assertReport(MemorySegment report, Sampler sampler, Row row, int token) {
    TokenLogprobs expected = sampler.logprobs(row.logits.clone(), token, row.parameters.logprobs());
    assertThat(report.getAtIndex(JAVA_INT, 0)).isEqualTo(expected.rank());
    assertThat(report.getAtIndex(JAVA_FLOAT, 1)).isCloseTo(expected.logprob(), within(1e-4f));
    int[] ids = expected.topTokens();
    for (int i = 0; i < ids.length; i++) {
      assertThat(report.getAtIndex(JAVA_INT, 2 + 2L * i)).isEqualTo(ids[i]);
      assertThat(report.getAtIndex(JAVA_FLOAT, 3 + 2L * i))
          .isCloseTo(expected.topLogprobs()[i], within(1e-4f));
    }
    if (ids.length < row.parameters.logprobs()) {
      assertThat(report.getAtIndex(JAVA_INT, 2 + 2L * ids.length)).isEqualTo(-1);
    }
  }

  private static Buffer uploaded(Device gpu, Stream stream, MemorySegment from) {
    Buffer to = gpu.allocate(from.byteSize());
    stream.upload(from, to);
    return to;
  }

  private static MemorySegment downloaded(Device gpu, Stream stream, Arena arena, Tensor from) {
    MemorySegment to = gpu.allocateHost(arena, from.buffer().bytes());
    stream.download(from.buffer(), to);
    stream.synchronize();
    return to;
  }
}
