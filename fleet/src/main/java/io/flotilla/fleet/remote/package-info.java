/**
 * A replica in a process of its own: what the two processes say to each other, and who starts it,
 * hears it and starts it again. Sequences, tokens and counts cross; text and weights do not.
 */
@NullMarked
package io.flotilla.fleet.remote;

import org.jspecify.annotations.NullMarked;
