/**
 * What a model computes: one file an architecture, over layers that hold all sharding. It knows
 * nothing of requests, and a model file nothing of ranks.
 */
@NullMarked
package io.flotilla.model;

import org.jspecify.annotations.NullMarked;
