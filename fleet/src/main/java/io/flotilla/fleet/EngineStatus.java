package io.flotilla.fleet;

import org.jspecify.annotations.Nullable;

/**
 * A replica at one moment.
 *
 * @param failure the first cause of its failure, or null while it lives
 * @param kvUsage share of KV blocks held by running sequences, 0 to 1
 */
public record EngineStatus(
    @Nullable Throwable failure, int running, int waiting, double kvUsage, boolean drained) {}
