package io.flotilla.engine.schedule;

/**
 * What a step may hold.
 *
 * @param contextLength tokens of prompt and output of one sequence; one such sequence alone must
 *     fit the KV blocks
 * @param maxSequences slots
 * @param maxBatchedTokens tokens computed, at least one for each slot
 * @param microBatches groups of sequences that are computed in turns: one for each pipeline stage,
 *     so that a sequence's next token is sampled by the time its turn comes again
 */
public record StepLimits(
    int contextLength, int maxSequences, int maxBatchedTokens, int microBatches) {
  /** Limits of steps that hold every sequence. */
  public StepLimits(int contextLength, int maxSequences, int maxBatchedTokens) {
    this(contextLength, maxSequences, maxBatchedTokens, 1);
  }
}
