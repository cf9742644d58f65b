package io.flotilla.executor;

import io.flotilla.kernels.Tensor;
import java.util.List;

/** Samples from rows of logits and looks up log-probabilities in them. */
interface RowScoring {
  /** Bytes of host and device memory. */
  long bytes();

  /**
   * Completes tasks.
   *
   * @param logits this rank's, a row for each task
   */
  void score(Tensor logits, List<ScoringTask> tasks);
}
