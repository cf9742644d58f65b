package io.flotilla.executor;

import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One step of one replica, complete: how many tokens of which sequence to compute. A sequence lives
 * in a slot from its admission until another is admitted to that slot; ranks keep a slot's block
 * table, penalty counts and sampling parameters between steps. Sequences of one step may share
 * blocks that one of them fills: each layer stores the keys and values of the whole step before it
 * reads any. Arrays are never written after construction.
 *
 * @param step counts up by one a step; steps run in this order on every rank
 * @param sequences at most one entry a slot
 */
public record StepPlan(long step, List<SequenceStep> sequences) {
  public StepPlan {
    sequences = List.copyOf(sequences);
  }

  /** Tokens to compute, all sequences together. */
  public int tokenCount() {
    int count = 0;
    for (SequenceStep sequence : sequences) {
      count += sequence.tokens().count();
    }
    return count;
  }

  /**
   * A sequence's share of a step: the tokens at positions {@code computed} and following.
   *
   * @param admission set in the first step after the sequence got this slot, also when it resumes
   *     after preemption
   * @param computed tokens whose keys and values are already in the cache
   * @param newBlocks appended to the slot's block table before the step (the table is empty at
   *     admission)
   * @param sample whether the last token of this share yields a sample
   */
  public record SequenceStep(
      int slot,
      @Nullable Admission admission,
      int computed,
      TokenInput tokens,
      int[] newBlocks,
      boolean sample) {}

  /** Which tokens a sequence computes. */
  public sealed interface TokenInput {
    /** How many. */
    int count();

    /** Tokens the host knows. */
    record Known(int[] ids) implements TokenInput {
      @Override
      public int count() {
        return ids.length;
      }
    }

    /** The token this slot sampled last, which the host may not have seen yet. */
    record PreviousSample() implements TokenInput {
      @Override
      public int count() {
        return 1;
      }
    }
  }

  /**
   * What a rank needs to know of a sequence once.
   *
   * @param history the prompt, then what was already generated (a resumed or replayed sequence)
   * @param promptLength tokens of {@code history} that are the prompt; the index of the next
   *     sampled token is {@code history.length - promptLength}
   */
  public record Admission(int[] history, int promptLength, SamplingParameters sampling) {}
}
