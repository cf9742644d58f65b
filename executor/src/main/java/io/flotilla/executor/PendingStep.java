package io.flotilla.executor;

import io.flotilla.kernels.Mark;
import java.util.function.Supplier;

/**
 * A step that a rank has started.
 *
 * @param mark passed when the device has done it
 * @param collect reads the result then, once
 */
record PendingStep(Mark mark, Supplier<StepResult> collect) {
  /** A step that is done. */
  static PendingStep done(StepResult result) {
    return new PendingStep(Mark.PASSED, () -> result);
  }
}
