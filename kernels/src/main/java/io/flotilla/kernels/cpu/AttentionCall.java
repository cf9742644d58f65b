package io.flotilla.kernels.cpu;

/**
 * The operands of one call of {@link io.flotilla.kernels.Ops#attention}, as addresses.
 *
 * @param heads query heads of a key-value head
 * @param rowsPerTile rows of a tile at most
 */
record AttentionCall(
    long queries,
    long queryRowBytes,
    long out,
    long outRowBytes,
    long positions,
    long blockTables,
    long blockTableBytes,
    long keys,
    long values,
    KvLayout layout,
    int heads,
    int rowsPerTile,
    float scale) {}
