package io.flotilla.engine.schedule;

import io.flotilla.executor.StepPlan;
import java.util.List;

/**
 * A step and whom it is for.
 *
 * @param sequences of the plan's entries, in the plan's order
 */
public record PlannedStep(StepPlan plan, List<Sequence> sequences) {
  public PlannedStep {
    sequences = List.copyOf(sequences);
  }

  /**
   * Whose share was computed in a slot.
   *
   * @throws IllegalStateException when the plan has no such slot
   */
  Sequence inSlot(int slot) {
    for (int i = 0; i < sequences.size(); i++) {
      if (plan.sequences().get(i).slot() == slot) {
        return sequences.get(i);
      }
    }
    throw new IllegalStateException("step " + plan.step() + " has nothing in slot " + slot);
  }
}
