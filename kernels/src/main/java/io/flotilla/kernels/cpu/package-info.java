/**
 * The CPU device: a team of threads that owns its cores, and two implementations of the operations,
 * a scalar one (the oracle) and one on the Vector API.
 */
@NullMarked
package io.flotilla.kernels.cpu;

import org.jspecify.annotations.NullMarked;
