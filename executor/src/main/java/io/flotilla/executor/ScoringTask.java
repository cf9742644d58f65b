package io.flotilla.executor;

import io.flotilla.model.sampling.TokenLogprobs;
import org.jspecify.annotations.Nullable;

/** A row of a step that needs logits, and what comes of them. Reused from step to step. */
final class ScoringTask {
  private static final int SAMPLE = -1;

  private Slot slot = new Slot();
  private int row;
  private int sequence;
  private int target;
  private int token;
  private @Nullable TokenLogprobs logprobs;

  /** The row yields a sample. */
  void sample(int ofRow, int ofSequence, Slot ofSlot) {
    lookUp(ofRow, ofSequence, ofSlot, SAMPLE);
  }

  /** The row predicts a token of the prompt, whose log-probability is wanted. */
  void lookUp(int ofRow, int ofSequence, Slot ofSlot, int promptToken) {
    row = ofRow;
    sequence = ofSequence;
    slot = ofSlot;
    target = promptToken;
    logprobs = null;
  }

  /** The row's number in the step. */
  int row() {
    return row;
  }

  /** The index of the sequence in the plan. */
  int sequence() {
    return sequence;
  }

  Slot slot() {
    return slot;
  }

  boolean isSample() {
    return target == SAMPLE;
  }

  /** The token of the prompt to look up. */
  int target() {
    return target;
  }

  /** The sampled token. */
  int token() {
    return token;
  }

  @Nullable TokenLogprobs logprobs() {
    return logprobs;
  }

  /** Notes the token that was sampled; {@code Sampler.NONE} when there was none to sample. */
  void sampled(int sampledToken) {
    token = sampledToken;
    slot.sampled(sampledToken);
  }

  void scored(TokenLogprobs found) {
    logprobs = found;
  }
}
