package io.flotilla.executor;

import io.flotilla.kernels.Mark;
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
}
