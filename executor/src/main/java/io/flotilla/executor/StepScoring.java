package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.CausalLm;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * From a step's activations to samples and prompt log-probabilities. Only rows that need logits get
 * them, a bounded number at a time.
 */
final class StepScoring {
  private static final long LOGIT_BYTES = 64L << 20;
  private static final long LOGIT_BYTES_WHERE_SAMPLED = 192L << 20;
  private static final int SAMPLE = -1;

  private final CausalLm model;
  private final Stream stream;
  private final AtomicLong progress;
  private final int chunk;
  // What to score: a row of the step, the sequence it belongs to, and the prompt's token to look
  // up in its logits, or SAMPLE.
  private final int[] taskRows;
  private final int[] taskSequences;
  private final int[] taskTargets;
  private final StagedIntegers chunkRows;
  private final MemorySegment logits;
  private final float[] row;
  private final Sampler sampler;

  /**
   * @param progress grows with every row scored
   */
  StepScoring(
      CausalLm model,
      Device device,
      Stream stream,
      Arena arena,
      ExecutorOptions options,
      AtomicLong progress) {
    int vocabulary = model.vocabularySize();
    int tasks = options.maxBatchedTokens();
    this.model = model;
    this.stream = stream;
    this.progress = progress;
    this.chunk = rowsAtOnce(options, vocabulary, device);
    this.taskRows = new int[tasks];
    this.taskSequences = new int[tasks];
    this.taskTargets = new int[tasks];
    this.chunkRows = new StagedIntegers(device, arena, chunk);
    this.logits = arena.allocate(ValueLayout.JAVA_FLOAT, (long) chunk * vocabulary);
    this.row = new float[vocabulary];
    this.sampler = new Sampler(vocabulary);
  }

  /** Rows whose logits are held at once. */
  static int rowsAtOnce(ExecutorOptions options, int vocabularySize, Device device) {
    long bytes = device.sampling().isPresent() ? LOGIT_BYTES_WHERE_SAMPLED : LOGIT_BYTES;
    long fitting = bytes / ((long) vocabularySize * Float.BYTES);
    return Math.clamp(fitting, 1, options.maxBatchedTokens());
  }

  /** Bytes on host and device. */
  long bytes() {
    return chunkRows.bytes() + logits.byteSize();
  }

  StepResult score(StepPlan plan, Slot[] slots, Activations activations) {
    List<SequenceStep> sequences = plan.sequences();
    List<Sample> samples = new ArrayList<>();
    Map<Integer, List<TokenLogprobs>> scored = new LinkedHashMap<>();
    int tasks = collect(sequences, slots);
    for (int from = 0; from < tasks; from += chunk) {
      int size = Math.min(chunk, tasks - from);
      computeLogits(activations, from, size);
      for (int i = 0; i < size; i++) {
        int slot = sequences.get(taskSequences[from + i]).slot();
        int target = taskTargets[from + i];
        if (target == SAMPLE) {
          samples.add(sample(i, slot, slots[slot]));
        } else {
          scored
              .computeIfAbsent(taskSequences[from + i], _ -> new ArrayList<>())
              .add(lookUp(i, target, slots[slot].sampling().promptLogprobs()));
        }
        progress.incrementAndGet();
      }
    }
    List<PromptLogprobs> prompts = new ArrayList<>();
    scored.forEach(
        (index, tokens) -> {
          SequenceStep sequence = sequences.get(index);
          prompts.add(new PromptLogprobs(sequence.slot(), sequence.computed() + 1, tokens));
        });
    return new StepResult(plan.step(), samples, prompts);
  }

  /** Lists the rows to score, in the plan's order. */
  private int collect(List<SequenceStep> sequences, Slot[] slots) {
    int tasks = 0;
    int firstRow = 0;
    for (int index = 0; index < sequences.size(); index++) {
      SequenceStep sequence = sequences.get(index);
      int[] prompt = slots[sequence.slot()].scoredPrompt();
      int count = sequence.tokens().count();
      // The row at one position predicts the token at the next.
      int predicting = Math.clamp((long) prompt.length - 1 - sequence.computed(), 0, count);
      for (int i = 0; i < predicting; i++) {
        taskRows[tasks] = firstRow + i;
        taskSequences[tasks] = index;
        taskTargets[tasks++] = prompt[sequence.computed() + i + 1];
      }
      if (sequence.sample()) {
        taskRows[tasks] = firstRow + count - 1;
        taskSequences[tasks] = index;
        taskTargets[tasks++] = SAMPLE;
      }
      firstRow += count;
    }
    return tasks;
  }

  private void computeLogits(Activations activations, int from, int size) {
    for (int i = 0; i < size; i++) {
      chunkRows.set(i, taskRows[from + i]);
    }
    Tensor out = model.logits(stream, activations, chunkRows.upload(stream, 1, size));
    stream.download(out.buffer(), logits.asSlice(0, out.buffer().bytes()));
    stream.synchronize();
  }

  private Sample sample(int index, int number, Slot slot) {
    SamplingParameters parameters = slot.sampling();
    readRow(index);
    int token = sampler.sample(row, parameters, slot.nextIndex(), slot.counts());
    slot.sampled(token);
    @Nullable TokenLogprobs logprobs = null;
    if (token != Sampler.NONE && parameters.logprobs() >= 0) {
      // Sampling changed the row; log-probabilities are of the model's own logits.
      logprobs = lookUp(index, token, parameters.logprobs());
    }
    return new Sample(number, token == Sampler.NONE ? Sample.INVALID : token, logprobs);
  }

  private TokenLogprobs lookUp(int index, int token, int top) {
    readRow(index);
    return sampler.logprobs(row, token, top);
  }

  private void readRow(int index) {
    long offset = (long) index * row.length * Float.BYTES;
    MemorySegment.copy(logits, ValueLayout.JAVA_FLOAT, offset, row, 0, row.length);
  }
}
