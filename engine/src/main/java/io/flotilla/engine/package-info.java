/**
 * One replica's step loop: commands in, token events out, on one thread. It owns admission, the
 * token budget, preemption and the life of KV blocks; it sees token ids, never text.
 */
@NullMarked
package io.flotilla.engine;

import org.jspecify.annotations.NullMarked;
