package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** A request's way through an executor, step by step. */
final class RunningSequence {
  private final Request request;
  private final int blockSize;
  private final Scores scores = new Scores();
  private final List<Integer> blocks = new ArrayList<>();
  private int[] tokens;
  private int slot;
  private int computed;
  private boolean admitted;
  private boolean sampledHere;

  RunningSequence(Request request, int blockSize) {
    this.request = request;
    this.blockSize = blockSize;
    this.tokens = request.prompt();
  }

  Scores scores() {
    return scores;
  }

  boolean finished() {
    return scores.outputs().size() == request.outputs();
  }

  /** Tokens that are known and not computed. */
  int remaining() {
    return tokens.length - computed;
  }

  /**
   * Gets a slot.
   *
   * @return tokens found in the cache
   */
  int enter(int newSlot, BlockPool pool, boolean shareBlocks) {
    slot = newSlot;
    admitted = false;
    sampledHere = false;
    computed = 0;
    // The last token is computed in any case: its logits are wanted.
    while (shareBlocks && computed + blockSize < tokens.length) {
      Integer block = pool.share(tokens, computed + blockSize);
      if (block == null) {
        break;
      }
      blocks.add(block);
      computed += blockSize;
    }
    return computed;
  }

  /** Gives its blocks back. */
  int leave(BlockPool pool) {
    blocks.forEach(pool::release);
    blocks.clear();
    return slot;
  }

  /** Blocks to take for so many tokens more. */
  int missingBlocks(int count) {
    return Math.ceilDiv(computed + count, blockSize) - blocks.size();
  }

  /** Plans so many tokens; the blocks must be there. */
  SequenceStep plan(int count, BlockPool pool, boolean previousSample) {
    int known = admitted ? blocks.size() : 0;
    while (missingBlocks(count) > 0) {
      blocks.add(pool.take());
    }
    int end = computed + count;
    for (int full = computed / blockSize; (full + 1) * blockSize <= end; full++) {
      pool.fill(blocks.get(full), tokens, (full + 1) * blockSize);
    }
    boolean previous = previousSample && sampledHere && remaining() == 1;
    TokenInput input =
        previous ? new PreviousSample() : new Known(Arrays.copyOfRange(tokens, computed, end));
    Admission admission =
        admitted ? null : new Admission(tokens, request.prompt().length, request.sampling());
    int[] added =
        blocks.subList(known, blocks.size()).stream().mapToInt(Integer::intValue).toArray();
    SequenceStep step =
        new SequenceStep(slot, admission, computed, input, added, end == tokens.length);
    admitted = true;
    computed = end;
    return step;
  }

  void apply(Sample sample) {
    TokenLogprobs logprobs = Objects.requireNonNull(sample.logprobs());
    assertThat(logprobs.token()).isEqualTo(sample.token());
    scores.outputs().put(scores.outputs().size(), Scores.bits(logprobs));
    tokens = Arrays.copyOf(tokens, tokens.length + 1);
    tokens[tokens.length - 1] = sample.token();
    sampledHere = true;
  }

  /** A prompt that is computed again must be scored as before. */
  void apply(PromptLogprobs prompt) {
    for (int i = 0; i < prompt.tokens().size(); i++) {
      TokenLogprobs logprobs = prompt.tokens().get(i);
      int position = prompt.firstPosition() + i;
      assertThat(logprobs.token()).isEqualTo(request.prompt()[position]);
      String bits = Scores.bits(logprobs);
      String before = scores.prompt().put(position, bits);
      assertThat(before == null ? bits : before).isEqualTo(bits);
    }
  }

  int slot() {
    return slot;
  }
}
