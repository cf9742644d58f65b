package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Runs requests on an executor in an order that chance decides: who is admitted when and to which
 * slot, who takes part in a step with how many tokens, who is preempted, who shares blocks.
 */
final class RandomSchedule {
  private final Executor executor;
  private final Random random;
  private final int maxBatchedTokens;
  private final BlockPool pool;
  private final List<Integer> freeSlots = new ArrayList<>();
  private final List<RunningSequence> waiting = new ArrayList<>();
  private final List<RunningSequence> running = new ArrayList<>();
  private final Counts counts = new Counts();
  private long step;

  /** What happened, so that a test can tell that it did. */
  static final class Counts {
    int preemptions;
    int prefixHits;
    int chunks;
    int largestBatch;

    void add(Counts other) {
      preemptions += other.preemptions;
      prefixHits += other.prefixHits;
      chunks += other.chunks;
      largestBatch = Math.max(largestBatch, other.largestBatch);
    }
  }

  /**
   * @param blocks of the cache that are used
   * @param maxBatchedTokens of a step
   */
  RandomSchedule(Executor executor, int blocks, int maxBatchedTokens, Random random) {
    this.executor = executor;
    this.random = random;
    this.maxBatchedTokens = maxBatchedTokens;
    this.pool = new BlockPool(random, blocks);
    for (int slot = 0; slot < executor.maxSequences(); slot++) {
      freeSlots.add(slot);
    }
    Collections.shuffle(freeSlots, random);
  }

  Counts counts() {
    return counts;
  }

  /** Runs requests to their ends; their scores, in the same order. */
  List<Scores> run(List<Request> requests) {
    List<RunningSequence> sequences =
        requests.stream()
            .map(request -> new RunningSequence(request, executor.blockSize()))
            .toList();
    waiting.addAll(sequences);
    while (!waiting.isEmpty() || !running.isEmpty()) {
      admit();
      apply(executor.submit(new StepPlan(step++, plan())).join());
    }
    return sequences.stream().map(RunningSequence::scores).toList();
  }

  private void admit() {
    while (!waiting.isEmpty() && !freeSlots.isEmpty() && random.nextInt(8) > 0) {
      RunningSequence sequence = waiting.remove(random.nextInt(waiting.size()));
      int hit = sequence.enter(freeSlots.removeLast(), pool, random.nextInt(4) > 0);
      counts.prefixHits += hit > 0 ? 1 : 0;
      running.add(sequence);
    }
  }

  private List<SequenceStep> plan() {
    List<SequenceStep> steps = new ArrayList<>();
    List<RunningSequence> order = new ArrayList<>(running);
    Collections.shuffle(order, random);
    int budget = maxBatchedTokens;
    // A small share makes a prompt take many steps; a large one lets many sequences be whole.
    int share = 1 + random.nextInt(maxBatchedTokens);
    for (RunningSequence sequence : order) {
      if (random.nextInt(64) == 0) {
        preempt(sequence);
        continue;
      }
      int most = Math.min(Math.min(share, budget), sequence.remaining());
      if (most == 0 || random.nextInt(8) == 0) {
        continue;
      }
      int count = random.nextBoolean() ? most : 1 + random.nextInt(most);
      if (sequence.missingBlocks(count) > pool.free()) {
        preempt(sequence);
        continue;
      }
      counts.chunks += count < sequence.remaining() ? 1 : 0;
      budget -= count;
      steps.add(sequence.plan(count, pool, random.nextBoolean()));
    }
    counts.largestBatch = Math.max(counts.largestBatch, steps.size());
    return steps;
  }

  private void preempt(RunningSequence sequence) {
    running.remove(sequence);
    freeSlots.addFirst(sequence.leave(pool));
    waiting.add(sequence);
    counts.preemptions++;
  }

  private void apply(StepResult result) {
    RunningSequence[] bySlot = new RunningSequence[executor.maxSequences()];
    running.forEach(sequence -> bySlot[sequence.slot()] = sequence);
    result.promptLogprobs().forEach(prompt -> bySlot[prompt.slot()].apply(prompt));
    result.samples().forEach(sample -> bySlot[sample.slot()].apply(sample));
    for (RunningSequence sequence : List.copyOf(running)) {
      if (sequence.finished()) {
        running.remove(sequence);
        freeSlots.addFirst(sequence.leave(pool));
      }
    }
  }
}
