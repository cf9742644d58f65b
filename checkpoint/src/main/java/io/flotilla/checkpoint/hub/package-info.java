/**
 * Models by name: downloads from the Hugging Face hub into the cache that the hub's own tools use,
 * so that a model fetched by one is found by the other. It checks every byte it fetched and refuses
 * what does not match; it never reads what a file means.
 */
@NullMarked
package io.flotilla.checkpoint.hub;

import org.jspecify.annotations.NullMarked;
