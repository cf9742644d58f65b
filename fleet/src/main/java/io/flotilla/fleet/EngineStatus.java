package io.flotilla.fleet;

import io.flotilla.engine.EngineStatistics;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A replica at one moment.
 *
 * @param failure the first cause of its failure, or null while it lives
 * @param drained whether it has ended and takes no more work
 * @param statistics its counts; what they were last, when it has failed or ended
 * @param restarts times it was started again after it had failed
 */
public record EngineStatus(
    @Nullable Throwable failure, boolean drained, EngineStatistics statistics, int restarts) {
  /** Whether a sequence can be handed to it. */
  public boolean isServing() {
    return failure == null && !drained;
  }

  /** What the failure says, or null while the replica lives. */
  public @Nullable String trouble() {
    Throwable cause = failure;
    return cause == null
        ? null
        : Objects.requireNonNullElseGet(cause.getMessage(), cause::toString);
  }
}
