package io.flotilla.model.layer;

import io.flotilla.kernels.AttentionBatch;
import org.jspecify.annotations.Nullable;

/**
 * The rows of a step that a rank computes, and those whose keys and values it gets from the ranks
 * that compute them.
 *
 * @param own where this rank's rows belong; what it has of a prompt may be apart, and is then
 *     several sequences of the batch
 * @param gathered where the rows of all ranks belong that share out a step's rows: as many of each,
 *     in the order of ranks; padding rows and this rank's own are at position -1. Null where a rank
 *     computes every row
 */
public record StepRows(AttentionBatch own, @Nullable AttentionBatch gathered) {
  /** Rows of a rank that computes all of them. */
  public static StepRows all(AttentionBatch batch) {
    return new StepRows(batch, null);
  }
}
