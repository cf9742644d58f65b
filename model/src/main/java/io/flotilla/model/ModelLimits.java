package io.flotilla.model;

/**
 * What a rank's model is loaded for; its memory follows from it.
 *
 * @param slice the stage it holds
 * @param maxPositions positions a sequence may have
 * @param maxRows rows of the largest step
 * @param maxLogitRows rows whose logits are computed at once
 */
public record ModelLimits(StageSlice slice, int maxPositions, int maxRows, int maxLogitRows) {}
