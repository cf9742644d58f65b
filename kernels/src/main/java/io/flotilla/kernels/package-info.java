/**
 * The vocabulary every backend speaks: {@link io.flotilla.kernels.Device}, {@link
 * io.flotilla.kernels.Stream}, {@link io.flotilla.kernels.Buffer} and {@link
 * io.flotilla.kernels.Tensor}, and the {@link io.flotilla.kernels.Ops} on them. It owns device
 * memory and arithmetic; it knows nothing of models, requests or files.
 */
@NullMarked
package io.flotilla.kernels;

import org.jspecify.annotations.NullMarked;
