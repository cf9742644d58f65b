/** The HTTP server: its life cycle, limits, keys and health. */
@NullMarked
package io.flotilla.server;

import org.jspecify.annotations.NullMarked;
