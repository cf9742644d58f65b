/**
 * Runs step plans on the ranks of one replica. It owns the ranks, the steps in flight and the
 * detection of failures; it decides nothing about requests.
 */
@NullMarked
package io.flotilla.executor;

import org.jspecify.annotations.NullMarked;
