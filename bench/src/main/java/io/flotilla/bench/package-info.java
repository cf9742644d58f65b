/** Measures any OpenAI server under load, and this engine without one. */
@NullMarked
package io.flotilla.bench;

import org.jspecify.annotations.NullMarked;
