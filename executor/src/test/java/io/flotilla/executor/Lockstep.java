package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Runs requests on an executor side by side: all of them take part in every step. */
final class Lockstep {
  private Lockstep() {}

  /**
   * Runs requests to their ends; their scores, in the same order.
   *
   * @param chunk tokens of a sequence in a step, at most
   */
  static List<Scores> run(Executor executor, List<Request> requests, int chunk) {
    BlockPool pool = new BlockPool(new Random(0), executor.kvBlocks());
    List<RunningSequence> sequences = new ArrayList<>();
    for (Request request : requests) {
      RunningSequence sequence = new RunningSequence(request, executor.blockSize());
      sequence.enter(sequences.size(), pool, false);
      sequences.add(sequence);
    }
    long step = 0;
    while (!sequences.stream().allMatch(RunningSequence::finished)) {
      List<SequenceStep> steps = new ArrayList<>();
      for (RunningSequence sequence : sequences) {
        if (!sequence.finished()) {
          steps.add(sequence.plan(Math.min(chunk, sequence.remaining()), pool, false));
        }
      }
      StepResult result = executor.submit(new StepPlan(step++, steps)).join();
      result.promptLogprobs().forEach(prompt -> sequences.get(prompt.slot()).apply(prompt));
      result.samples().forEach(sample -> sequences.get(sample.slot()).apply(sample));
    }
    return sequences.stream().map(RunningSequence::scores).toList();
  }

  /** The scores of a request that has the executor to itself and its prompt in one step. */
  static Scores alone(Executor executor, Request request) {
    return run(executor, List.of(request), request.prompt().length).getFirst();
  }
}
