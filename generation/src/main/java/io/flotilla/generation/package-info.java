/**
 * Text in, text out: the Java API, and what the HTTP server and the benchmarks stand on. It owns
 * everything on the text's side of the line: templates, detokenisation, stop strings, usage.
 */
@NullMarked
package io.flotilla.generation;

import org.jspecify.annotations.NullMarked;
