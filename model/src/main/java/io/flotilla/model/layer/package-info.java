/**
 * Layers that load their own shard of the weights and run on it. All tensor-parallel sharding lives
 * here; nothing here knows an architecture's name or what a request is.
 */
@NullMarked
package io.flotilla.model.layer;

import org.jspecify.annotations.NullMarked;
