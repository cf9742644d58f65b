package io.flotilla.executor;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.TokenChoice;
import io.flotilla.kernels.TokenChoice.Edits;
import io.flotilla.kernels.TokenChoice.Penalties;
import io.flotilla.kernels.TokenSampling;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/** How the sequences of a step are sampled on the device, in the device's layout. */
final class DeviceChoices {
  /** Biases and masked tokens of a sequence at most. */
  private static final int MOST_EDITS = 256;

  private final TokenSampling sampling;
  private final StagedBytes rows;
  private final StagedBytes edits;
  private final List<TokenChoice> choices = new ArrayList<>();
  private int editCount;

  DeviceChoices(TokenSampling sampling, Device device, Arena arena, int slots) {
    this.sampling = sampling;
    this.rows = new StagedBytes(device, arena, slots * sampling.rowBytes());
    this.edits = new StagedBytes(device, arena, (long) slots * MOST_EDITS * sampling.editBytes());
  }

  /** Bytes on host and device. */
  long bytes() {
    return rows.bytes() + edits.bytes();
  }

  /**
   * Whether the device samples sequences with these parameters. It does not keep the model's own
   * logits, so it has no log-probabilities where something changes them.
   */
  static boolean canChoose(SamplingParameters parameters) {
    int masked = parameters.minTokens() > 0 ? parameters.stopTokens().size() : 0;
    int edited = parameters.logitBias().size() + masked;
    boolean changed = edited > 0 || Sampler.penalises(parameters);
    return edited <= MOST_EDITS
        && parameters.promptLogprobs() < 0
        && parameters.logprobs() <= (changed ? -1 : TokenSampling.MOST_LIKELIEST);
  }

  /** Begins a step. */
  void begin() {
    choices.clear();
    editCount = 0;
  }

  /** Adds the next row. */
  void add(Slot slot, int number) {
    SamplingParameters parameters = slot.sampling();
    TokenChoice choice =
        new TokenChoice(
            number,
            Sampler.noiseKey(parameters, slot.nextIndex()),
            parameters.temperature(),
            Sampler.leastValue(parameters),
            parameters.topK(),
            parameters.topP(),
            Sampler.penalises(parameters) ? penalties(slot) : null,
            edits(slot),
            parameters.logprobs());
    sampling.describe(rows.host(), choices.size(), choice);
    choices.add(choice);
  }

  private static Penalties penalties(Slot slot) {
    SamplingParameters parameters = slot.sampling();
    return new Penalties(
        slot.promptLength() + slot.nextIndex(),
        slot.promptLength(),
        parameters.repetitionPenalty(),
        parameters.presencePenalty(),
        parameters.frequencyPenalty());
  }

  private Edits edits(Slot slot) {
    SamplingParameters parameters = slot.sampling();
    boolean masks = slot.nextIndex() < parameters.minTokens();
    List<Integer> masked = masks ? parameters.stopTokens() : List.of();
    int first = editCount;
    for (Map.Entry<Integer, Float> bias : parameters.logitBias().entrySet()) {
      sampling.edit(edits.host(), editCount++, bias.getKey(), bias.getValue());
    }
    for (int token : masked) {
      sampling.edit(edits.host(), editCount++, token, 0);
    }
    return new Edits(first, parameters.logitBias().size(), masked.size());
  }

  /** Whether any row's choice is such. */
  boolean any(Predicate<TokenChoice> property) {
    return choices.stream().anyMatch(property);
  }

  /** Uploads the rows of the step. */
  Buffer uploadRows(Stream stream) {
    return rows.upload(stream, choices.size() * sampling.rowBytes());
  }

  /** Uploads the edits of the step. */
  Buffer uploadEdits(Stream stream) {
    return edits.upload(stream, editCount * sampling.editBytes());
  }

  /** Reads a row's report. */
  static TokenLogprobs report(MemorySegment report, int token, int likeliest) {
    int[] tokens = new int[likeliest];
    float[] logprobs = new float[likeliest];
    int found = 0;
    while (found < likeliest && report.getAtIndex(JAVA_INT, 2 + 2L * found) >= 0) {
      tokens[found] = report.getAtIndex(JAVA_INT, 2 + 2L * found);
      logprobs[found] = report.getAtIndex(JAVA_FLOAT, 3 + 2L * found);
      found++;
    }
    return new TokenLogprobs(
        token,
        report.getAtIndex(JAVA_FLOAT, 1),
        report.getAtIndex(JAVA_INT, 0),
        Arrays.copyOf(tokens, found),
        Arrays.copyOf(logprobs, found));
  }
}
