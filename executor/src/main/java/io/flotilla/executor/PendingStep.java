package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Mark;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A step that a rank has started.
 *
 * @param mark passed when the device has done it
 * @param collect reads the result then, once; null on a rank that does not answer
 */
record PendingStep(Mark mark, Supplier<@Nullable StepResult> collect) {
  /** A step that is done. */
  static PendingStep done(@Nullable StepResult result) {
    return new PendingStep(Mark.PASSED, () -> result);
  }

  /** Waits for the device and reads the result, which is then not to be collected. */
  StepResult await() {
    mark.await();
    return Objects.requireNonNull(collect.get());
  }

  /** This step on a rank that does not answer. */
  PendingStep unanswered() {
    return new PendingStep(
        mark,
        () -> {
          StepResult _ = collect.get();
          return null;
        });
  }

  /** This step with the results of its other sequences. */
  PendingStep with(StepPlan plan, StepResult others) {
    return new PendingStep(mark, () -> joined(plan, Objects.requireNonNull(collect.get()), others));
  }

  private static StepResult joined(StepPlan plan, StepResult some, StepResult others) {
    Map<Integer, Sample> bySlot = new HashMap<>();
    some.samples().forEach(sample -> bySlot.put(sample.slot(), sample));
    others.samples().forEach(sample -> bySlot.put(sample.slot(), sample));
    List<Sample> samples = new ArrayList<>();
    for (SequenceStep sequence : plan.sequences()) {
      if (sequence.sample()) {
        samples.add(Objects.requireNonNull(bySlot.get(sequence.slot())));
      }
    }
    return new StepResult(plan.step(), samples, others.promptLogprobs());
  }
}
