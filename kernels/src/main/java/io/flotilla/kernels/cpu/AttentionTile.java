package io.flotilla.kernels.cpu;

/**
 * Adjacent rows of one sequence, and one key-value head.
 *
 * @param firstRow of the step
 * @param rows at most the call's {@code rowsPerTile}
 */
record AttentionTile(AttentionCall call, int firstRow, int rows, int sequence, int kvHead) {}
