package io.flotilla.engine.schedule;

/**
 * What a step may hold.
 *
 * @param contextLength tokens of prompt and output of one sequence; one such sequence alone must
 *     fit the KV blocks
 * @param maxSequences slots
 * @param maxBatchedTokens tokens computed, at least one for each slot
 */
public record StepLimits(int contextLength, int maxSequences, int maxBatchedTokens) {}
