/** The router over the replicas of one model. It owns the choice of a replica and its health. */
@NullMarked
package io.flotilla.fleet;

import org.jspecify.annotations.NullMarked;
