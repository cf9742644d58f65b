package io.flotilla.engine.schedule;

import io.flotilla.engine.cache.BlockManager;
import io.flotilla.engine.cache.BlockTable;
import io.flotilla.executor.StepPlan;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Chooses what each step computes. There is no prefill step and no decode step: a step is a count
 * of tokens for each sequence, filled in this order until its token budget is spent.
 *
 * <ol>
 *   <li>Running sequences that lack one token, oldest first. One that needs a KV block when none is
 *       free takes those of the newest running sequence, which goes back to the head of the waiting
 *       queue, keeps its tokens and will be computed anew.
 *   <li>Running sequences that lack more, oldest first, in chunks. They hold their blocks already.
 *   <li>Waiting sequences, first come first served, when there is a slot and blocks for all their
 *       tokens at once with one to spare for each running sequence, so that who is admitted is not
 *       preempted by the next step. Nobody is admitted in a step that preempted somebody.
 * </ol>
 *
 * <p>Running and waiting sequences together are always in order of arrival, so the oldest sequence
 * makes progress in every step (of its micro-batch), and every sequence gets its turn.
 *
 * <p>With several micro-batches, the first of these is for the sequences of the one whose turn it
 * is; see {@link MicroBatches}.
 *
 * <p>Several steps may be planned before the first of them is applied. A sequence that is preempted
 * or ends gives up slot and blocks at once: later steps may use them, as steps run in order. A
 * preempted sequence still gets the tokens sampled by its steps in flight and waits for these
 * before it is admitted again; a sequence that ended does not get them. One thread.
 */
public final class Scheduler {
  private static final int[] NO_BLOCKS = {};

  private final StepLimits limits;
  private final BlockManager blocks;
  private final ArrayDeque<Sequence> waiting = new ArrayDeque<>();
  private final List<Sequence> running = new ArrayList<>();
  private final int[] freeSlots;
  private int freeSlotCount;

  private final List<SequenceStep> shares = new ArrayList<>();
  private final List<Sequence> sharers = new ArrayList<>();
  private final MicroBatches batches;
  private int budget;
  private int promptBudget;
  private long step;

  private long preemptions;
  private long prefixQueries;
  private long prefixHits;
  private long promptTokens;
  private long generatedTokens;

  /**
   * @throws IllegalArgumentException when a sequence of the greatest length does not fit the blocks
   */
  public Scheduler(StepLimits limits, BlockManager blocks) {
    if (blocks.blocksFor(limits.contextLength()) > blocks.totalBlocks()) {
      throw new IllegalArgumentException(
          "a sequence of %d tokens does not fit %d KV blocks"
              .formatted(limits.contextLength(), blocks.totalBlocks()));
    }
    this.limits = limits;
    this.blocks = blocks;
    this.batches = new MicroBatches(limits.microBatches());
    this.freeSlots = new int[limits.maxSequences()];
    while (freeSlotCount < freeSlots.length) {
      freeSlots[freeSlotCount] = freeSlots.length - 1 - freeSlotCount;
      freeSlotCount++;
    }
  }

  /**
   * Makes a sequence that is not queued yet.
   *
   * @param prompt shorter than the context
   * @param generated the first tokens of its output
   * @param maxTokens tokens of output at most, {@code generated} counted
   * @param salt keys the prefix cache
   */
  public Sequence newSequence(
      int[] prompt,
      int[] generated,
      SamplingParameters sampling,
      int maxTokens,
      String salt,
      SequenceObserver observer) {
    int maxLength = (int) Math.min((long) prompt.length + maxTokens, limits.contextLength());
    BlockTable table = blocks.newTable(salt);
    return new Sequence(prompt, generated, sampling, maxLength, table, observer);
  }

  /** Queues a sequence. One whose replayed tokens are all it may have ends at once. */
  public void add(Sequence sequence) {
    Ending ending = sequence.ending();
    if (ending == null) {
      waiting.addLast(sequence);
    } else {
      end(sequence, ending);
    }
  }

  /** Ends a sequence. Its slot and blocks are free for the next step. */
  public void abort(Sequence sequence) {
    if (!sequence.ended()) {
      end(sequence, Ending.ABORTED);
    }
  }

  /** Plans the next step, or null when there is nothing to compute before a result is applied. */
  public @Nullable PlannedStep plan() {
    PlannedStep planned = null;
    for (int tried = 0; planned == null && tried < batches.count(); tried++) {
      planned = planTurn();
      batches.nextTurn();
    }
    return planned;
  }

  private @Nullable PlannedStep planTurn() {
    budget = limits.maxBatchedTokens();
    long preemptedBefore = preemptions;
    planDecodes();
    promptBudget = batches.chunk(pendingTokens(), budget);
    planPrefills();
    if (preemptions == preemptedBefore) {
      admitWaiting();
    }
    if (shares.isEmpty()) {
      return null;
    }
    PlannedStep planned = new PlannedStep(new StepPlan(step++, shares), sharers);
    shares.clear();
    sharers.clear();
    return planned;
  }

  /**
   * Gives sequences what a step yielded. Steps must be applied in the order they were planned in.
   *
   * @throws IllegalStateException when the result is not that of the step
   */
  public void apply(PlannedStep planned, StepResult result) {
    for (PromptLogprobs scores : result.promptLogprobs()) {
      planned.inSlot(scores.slot()).addScores(scores);
    }
    int next = 0;
    for (int i = 0; i < planned.sequences().size(); i++) {
      Sequence sequence = planned.sequences().get(i);
      SequenceStep share = planned.plan().sequences().get(i);
      sequence.applied(share.sample());
      if (share.sample()) {
        Sample sample = result.samples().get(next++);
        if (sample.slot() != share.slot()) {
          throw new IllegalStateException(
              "step %d sampled slot %d in place of %d"
                  .formatted(result.step(), sample.slot(), share.slot()));
        }
        accept(sequence, sample);
      }
    }
  }

  /** Whether no sequence is running or waiting. Steps may still be in flight. */
  public boolean isIdle() {
    return running.isEmpty() && waiting.isEmpty();
  }

  /**
   * Checks blocks and slots.
   *
   * @throws IllegalStateException naming what is wrong
   */
  public void checkInvariants() {
    blocks.checkInvariants(running.stream().map(Sequence::table).toList());
    if (running.size() + freeSlotCount != freeSlots.length) {
      throw new IllegalStateException(
          "%d slots are free and %d taken, of %d"
              .formatted(freeSlotCount, running.size(), freeSlots.length));
    }
  }

  public int running() {
    return running.size();
  }

  public int waiting() {
    return waiting.size();
  }

  /** Times a sequence lost its blocks to an older one. */
  public long preemptions() {
    return preemptions;
  }

  /** Tokens looked up in the prefix cache when their sequences were first admitted. */
  public long prefixQueries() {
    return prefixQueries;
  }

  /** Tokens found. */
  public long prefixHits() {
    return prefixHits;
  }

  /** Prompt tokens of the sequences that got a first token. */
  public long promptTokens() {
    return promptTokens;
  }

  /** Tokens generated here, replayed ones not counted. */
  public long generatedTokens() {
    return generatedTokens;
  }

  private void planDecodes() {
    for (int i = 0; i < running.size() && budget > 0; i++) {
      Sequence sequence = running.get(i);
      if (sequence.remaining() == 1 && isItsTurn(sequence)) {
        int held = sequence.table().size();
        if (reserve(sequence)) {
          plan(sequence, 1, null, held);
        }
      }
    }
  }

  private boolean isItsTurn(Sequence sequence) {
    return !sequence.hasMicroBatch() || sequence.microBatch() == batches.turn();
  }

  /** Tokens of prompts that are yet to be computed, of sequences running and waiting. */
  private long pendingTokens() {
    long pending = 0;
    for (Sequence sequence : running) {
      pending += sequence.hasMicroBatch() ? 0 : sequence.remaining();
    }
    for (Sequence sequence : waiting) {
      pending += sequence.length();
    }
    return pending;
  }

  private void planPrefills() {
    for (int i = 0; i < running.size() && promptBudget > 0; i++) {
      Sequence sequence = running.get(i);
      if (sequence.remaining() > 1) {
        int count = Math.min(sequence.remaining(), promptBudget);
        plan(sequence, count, null, sequence.table().size());
      }
    }
  }

  private void admitWaiting() {
    while (promptBudget > 0 && freeSlotCount > 0 && !waiting.isEmpty()) {
      Sequence sequence = waiting.getFirst();
      if (sequence.hasStepsInFlight() || !admit(sequence)) {
        return;
      }
    }
  }

  private boolean admit(Sequence sequence) {
    int length = sequence.length();
    boolean useCache = sequence.mayUseCache();
    int cached =
        blocks.admit(sequence.table(), sequence.tokens(), length, useCache, running.size());
    if (cached < 0) {
      return false;
    }
    boolean first = !sequence.wasAdmitted();
    waiting.removeFirst();
    running.addLast(sequence);
    Admission admission = sequence.admit(freeSlots[--freeSlotCount], cached);
    if (first) {
      prefixQueries += useCache ? length : 0;
      prefixHits += cached;
      sequence.observer().admitted();
    }
    plan(sequence, Math.min(sequence.remaining(), promptBudget), admission, 0);
    return true;
  }

  /** Makes room for one more token of a sequence, or preempts that itself. */
  private boolean reserve(Sequence sequence) {
    while (!blocks.grow(sequence.table(), sequence.computed() + 1)) {
      Sequence newest = running.getLast();
      preempt(newest);
      if (newest == sequence) {
        return false;
      }
    }
    return true;
  }

  private void preempt(Sequence sequence) {
    leave(sequence);
    waiting.addFirst(sequence);
    preemptions++;
  }

  /**
   * Adds a sequence's share to the step.
   *
   * @param told blocks of its table that the ranks know of
   */
  private void plan(Sequence sequence, int count, @Nullable Admission admission, int told) {
    BlockTable table = sequence.table();
    boolean sample = sequence.samplesAfter(count);
    shares.add(
        new SequenceStep(
            sequence.slot(),
            admission,
            sequence.computed(),
            sequence.nextTokens(count),
            table.size() == told ? NO_BLOCKS : table.blocksFrom(told),
            sample));
    sharers.add(sequence);
    sequence.planned(count, sample);
    if (sample && !sequence.hasMicroBatch()) {
      sequence.join(batches.smallest(running));
    }
    budget -= count;
    promptBudget -= count;
    // Also sequences admitted to this very step may use these blocks: in every layer keys and
    // values of the whole step are stored before any is read.
    blocks.register(table, sequence.tokens(), sequence.reusable());
  }

  private void accept(Sequence sequence, Sample sample) {
    if (sequence.ended()) {
      return;
    }
    if (sample.token() == Sample.INVALID) {
      end(sequence, Ending.INVALID_LOGITS);
      return;
    }
    sequence.reportScores();
    if (sequence.generatedTokens() == 0) {
      promptTokens += sequence.promptLength();
    }
    generatedTokens++;
    sequence.append(sample.token());
    sequence.observer().sampled(sequence.generatedTokens() - 1, sample.token(), sample.logprobs());
    Ending ending = sequence.ending();
    if (ending != null) {
      end(sequence, ending);
    }
  }

  private void end(Sequence sequence, Ending ending) {
    sequence.end();
    if (sequence.isRunning()) {
      leave(sequence);
    } else {
      waiting.remove(sequence);
    }
    sequence.observer().ended(sequence, ending);
  }

  private void leave(Sequence sequence) {
    running.remove(sequence);
    freeSlots[freeSlotCount++] = sequence.slot();
    blocks.register(sequence.table(), sequence.tokens(), sequence.reusable());
    blocks.release(sequence.table());
    sequence.evict();
  }
}
