/**
 * Which KV block belongs to whom: host integers only. It owns the life of blocks, the prefix cache
 * and the order in which cached blocks are given up. It knows nothing of device memory, and leaves
 * to the scheduler who gets blocks first.
 */
@NullMarked
package io.flotilla.engine.cache;

import org.jspecify.annotations.NullMarked;
