package io.flotilla.engine.schedule;

import io.flotilla.engine.cache.BlockTable;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A sequence being generated, as the host sees it. Steps in flight make three lengths of one:
 *
 * <pre>
 *   | prompt ........ | generated, known to the host | sampled in flight |
 *   0            promptLength                      length        plannedLength
 *   | keys and values computed by planned steps .......... |
 *   0                                                   computed
 * </pre>
 *
 * A step computes tokens from {@code computed} on; the one that reaches {@code plannedLength}
 * samples the token that follows.
 */
public final class Sequence {
  private static final PreviousSample PREVIOUS_SAMPLE = new PreviousSample();
  private static final int NO_SLOT = -1;
  private static final int NO_MICRO_BATCH = -1;

  private final SequenceObserver observer;
  private final SamplingParameters sampling;
  private final int[] stopTokens;
  private final BlockTable table;
  private final int promptLength;
  private final int maxLength;
  private final boolean scoresPrompt;
  private final List<TokenLogprobs> scores = new ArrayList<>();
  private int[] tokens;
  private int length;
  private int samplesInFlight;
  private int stepsInFlight;
  private int computed;
  private int slot = NO_SLOT;
  private int microBatch = NO_MICRO_BATCH;
  private int cachedTokens = -1;
  private boolean scored;
  private boolean ended;

  /**
   * @param maxLength tokens of prompt and output at most
   */
  Sequence(
      int[] prompt,
      int[] generated,
      SamplingParameters sampling,
      int maxLength,
      BlockTable table,
      SequenceObserver observer) {
    this.observer = observer;
    this.sampling = sampling;
    this.stopTokens = sampling.stopTokens().stream().mapToInt(Integer::intValue).toArray();
    this.table = table;
    this.promptLength = prompt.length;
    this.length = prompt.length + generated.length;
    this.maxLength = Math.max(length, maxLength);
    // Who replays tokens has had the prompt's scores before them.
    this.scoresPrompt = sampling.promptLogprobs() >= 0 && generated.length == 0;
    this.tokens = Arrays.copyOf(prompt, length + 1);
    System.arraycopy(generated, 0, tokens, prompt.length, generated.length);
  }

  public int promptLength() {
    return promptLength;
  }

  /** Tokens generated, a stop token and replayed ones included. */
  public int generatedTokens() {
    return length - promptLength;
  }

  /** Prompt tokens that were taken from the prefix cache when it was first admitted. */
  public int cachedTokens() {
    return Math.max(0, cachedTokens);
  }

  SequenceObserver observer() {
    return observer;
  }

  BlockTable table() {
    return table;
  }

  /** Known tokens; of them the first {@link #length} count. */
  int[] tokens() {
    return tokens;
  }

  int length() {
    return length;
  }

  int computed() {
    return computed;
  }

  /** Known tokens whose keys and values are computed by planned steps. */
  int reusable() {
    return Math.min(length, computed);
  }

  int slot() {
    return slot;
  }

  /** Whether it generates, and so has its turn with others. */
  boolean hasMicroBatch() {
    return microBatch != NO_MICRO_BATCH;
  }

  int microBatch() {
    return microBatch;
  }

  void join(int batch) {
    microBatch = batch;
  }

  boolean isRunning() {
    return slot != NO_SLOT;
  }

  boolean wasAdmitted() {
    return cachedTokens >= 0;
  }

  boolean hasStepsInFlight() {
    return stepsInFlight > 0;
  }

  boolean ended() {
    return ended;
  }

  /** Cached blocks yield no log-probabilities, so while these are wanted none may be used. */
  boolean mayUseCache() {
    return !scoresPrompt || scored;
  }

  /**
   * Tokens that are yet to be computed to sample the next one; 0 when that would be one too many.
   */
  int remaining() {
    int plannedLength = length + samplesInFlight;
    return plannedLength == maxLength ? 0 : plannedLength - computed;
  }

  /** Whether computing {@code count} more tokens yields a sample. */
  boolean samplesAfter(int count) {
    return count == remaining();
  }

  /** The input of a share of {@code count} tokens. */
  TokenInput nextTokens(int count) {
    return computed < length
        ? new Known(Arrays.copyOfRange(tokens, computed, computed + count))
        : PREVIOUS_SAMPLE;
  }

  /** Takes a slot; {@code cached} tokens need not be computed. */
  Admission admit(int newSlot, int cached) {
    slot = newSlot;
    computed = cached;
    if (!wasAdmitted()) {
      cachedTokens = Math.min(cached, promptLength);
    }
    return new Admission(Arrays.copyOf(tokens, length), promptLength, sampling);
  }

  /** Gives up the slot and everything computed. */
  void evict() {
    slot = NO_SLOT;
    microBatch = NO_MICRO_BATCH;
    computed = 0;
  }

  /** A step computes {@code count} tokens. */
  void planned(int count, boolean sample) {
    computed += count;
    stepsInFlight++;
    if (sample) {
      samplesInFlight++;
    }
  }

  /** A planned step has run. */
  void applied(boolean sample) {
    stepsInFlight--;
    if (sample) {
      samplesInFlight--;
    }
  }

  void end() {
    ended = true;
  }

  void append(int token) {
    if (length == tokens.length) {
      tokens = Arrays.copyOf(tokens, Math.min(maxLength, 2 * length));
    }
    tokens[length++] = token;
  }

  /** How the tokens known end the sequence, or null when they do not. */
  @Nullable Ending ending() {
    if (length > promptLength) {
      for (int stop : stopTokens) {
        if (tokens[length - 1] == stop) {
          return Ending.STOP;
        }
      }
    }
    return length == maxLength ? Ending.LENGTH : null;
  }

  /** Keeps log-probabilities of the prompt; those that are kept already count once. */
  void addScores(PromptLogprobs computedScores) {
    int known = scores.size() + 1 - computedScores.firstPosition();
    if (scoresPrompt && !scored && known < computedScores.tokens().size()) {
      scores.addAll(computedScores.tokens().subList(known, computedScores.tokens().size()));
    }
  }

  /** Before the first token: tells of the prompt's log-probabilities where they were asked for. */
  void reportScores() {
    if (scoresPrompt && !scored) {
      scored = true;
      if (scores.size() != promptLength - 1) {
        throw new IllegalStateException(
            "%d log-probabilities of a prompt of %d".formatted(scores.size(), promptLength));
      }
      observer.promptScored(scores);
    }
  }
}
