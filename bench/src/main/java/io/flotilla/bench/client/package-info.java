/**
 * A streaming client of OpenAI servers. It owns the wire: requests out, server-sent events in, time
 * stamps taken as bytes arrive. It measures nothing itself.
 */
@NullMarked
package io.flotilla.bench.client;

import org.jspecify.annotations.NullMarked;
