package io.flotilla.executor;

import io.flotilla.executor.CollectedActivations.Collected;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.CausalLm;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.layer.StageRanks;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.TokenLogprobs;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;

/**
 * From a step's activations to samples and prompt log-probabilities. Only rows that need logits get
 * them, a bounded number at a time. Where ranks share a stage, all of them score together; all
 * learn the tokens, and the first also the log-probabilities.
 */
final class StepScoring {
  private static final long LOGIT_BYTES = 64L << 20;
  private static final long LOGIT_BYTES_WHERE_SAMPLED = 192L << 20;

  private final CausalLm model;
  private final Stream stream;
  private final int chunk;
  private final RowScoring scoring;
  private final CollectedActivations collected;
  private final List<ScoringTask> tasks = new ArrayList<>();
  private int taskCount;

  /**
   * @param ranks that share the stage
   * @param split of the rows among them
   * @param hiddenSize of the model
   * @param progress grows with every row scored
   */
  StepScoring(
      CausalLm model,
      StageRanks ranks,
      RowSplit split,
      int hiddenSize,
      Device device,
      Stream stream,
      Arena arena,
      ExecutorOptions options,
      AtomicLong progress) {
    int vocabulary = model.vocabularySize();
    this.model = model;
    this.stream = stream;
    this.chunk = rowsAtOnce(options, vocabulary, device);
    this.scoring =
        ranks.all().size() == 1
            ? new WholeRows(vocabulary, chunk, stream, arena, progress)
            : new SplitRows(model, ranks.all(), chunk, device, stream, arena, progress);
    this.collected =
        new CollectedActivations(ranks.context(), split, device, stream, arena, chunk, hiddenSize);
  }

  /** Rows whose logits are held at once: where the device samples, whole ones beside the parts. */
  static int rowsAtOnce(ExecutorOptions options, int vocabularySize, Device device) {
    boolean samples = device.sampling().isPresent();
    int ranks = options.topology().ranksPerReplica() / options.topology().pipeline();
    long columns = vocabularySize;
    if (samples && ranks > 1) {
      columns += Math.ceilDiv(vocabularySize, ranks);
    }
    long fitting = (samples ? LOGIT_BYTES_WHERE_SAMPLED : LOGIT_BYTES) / (columns * Float.BYTES);
    return Math.clamp(fitting, 1, options.maxBatchedTokens());
  }

  /** Bytes on host and device. */
  long bytes() {
    return scoring.bytes() + collected.bytes();
  }

  /**
   * Scores rows.
   *
   * @param scored the sequences to score; the others have no result
   */
  StepResult score(StepPlan plan, Slot[] slots, Activations activations, Predicate<Slot> scored) {
    List<SequenceStep> sequences = plan.sequences();
    collect(sequences, slots, scored);
    List<Sample> samples = new ArrayList<>();
    Map<Integer, List<TokenLogprobs>> prompted = new LinkedHashMap<>();
    for (int from = 0; from < taskCount; from += chunk) {
      List<ScoringTask> part = tasks.subList(from, Math.min(from + chunk, taskCount));
      scoring.score(computeLogits(activations, part), part);
      for (ScoringTask task : part) {
        if (task.isSample()) {
          samples.add(sample(task, sequences.get(task.sequence()).slot()));
        } else if (task.logprobs() != null) {
          prompted
              .computeIfAbsent(task.sequence(), _ -> new ArrayList<>())
              .add(Objects.requireNonNull(task.logprobs()));
        }
      }
    }
    List<PromptLogprobs> prompts = new ArrayList<>();
    prompted.forEach(
        (index, tokens) -> {
          SequenceStep sequence = sequences.get(index);
          prompts.add(new PromptLogprobs(sequence.slot(), sequence.computed() + 1, tokens));
        });
    return new StepResult(plan.step(), samples, prompts);
  }

  private static Sample sample(ScoringTask task, int slot) {
    int token = task.token() == Sampler.NONE ? Sample.INVALID : task.token();
    return new Sample(slot, token, task.logprobs());
  }

  /** Lists the rows to score, in the plan's order. */
  private void collect(List<SequenceStep> sequences, Slot[] slots, Predicate<Slot> scored) {
    taskCount = 0;
    int firstRow = 0;
    for (int index = 0; index < sequences.size(); index++) {
      SequenceStep sequence = sequences.get(index);
      Slot slot = slots[sequence.slot()];
      int[] prompt = slot.scoredPrompt();
      int count = sequence.tokens().count();
      if (!scored.test(slot)) {
        firstRow += count;
        continue;
      }
      // The row at one position predicts the token at the next.
      int predicting = Math.clamp((long) prompt.length - 1 - sequence.computed(), 0, count);
      for (int i = 0; i < predicting; i++) {
        nextTask().lookUp(firstRow + i, index, slot, prompt[sequence.computed() + i + 1]);
      }
      if (sequence.sample()) {
        nextTask().sample(firstRow + count - 1, index, slot);
      }
      firstRow += count;
    }
  }

  private ScoringTask nextTask() {
    if (taskCount == tasks.size()) {
      tasks.add(new ScoringTask());
    }
    return tasks.get(taskCount++);
  }

  private Tensor computeLogits(Activations activations, List<ScoringTask> part) {
    int[] chosen = part.stream().mapToInt(ScoringTask::row).toArray();
    Collected rows = collected.collect(activations, chosen);
    return model.logits(stream, rows.activations(), rows.rows());
  }
}
