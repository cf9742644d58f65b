package io.flotilla.executor;

import io.flotilla.kernels.Collectives;
import io.flotilla.model.StageSlice;
import io.flotilla.model.layer.StageRanks;

/**
 * A rank's place in its replica, and what joins it to the others.
 *
 * @param slice of the model: the rank's stage
 * @param stage from 0
 * @param stages of the pipeline
 * @param ranks of the stage, and the place among them
 * @param pipeline joins the ranks of all stages that have the same place in their stage
 */
record RankPlace(StageSlice slice, int stage, int stages, StageRanks ranks, Collectives pipeline) {

  boolean isFirstStage() {
    return stage == 0;
  }

  boolean isLastStage() {
    return stage == stages - 1;
  }

  /** Whether the rank says what a step yielded. */
  boolean answers() {
    return isLastStage() && ranks.all().rank() == 0;
  }
}
