/**
 * The CUDA device: bindings to the driver and to cuBLASLt, kernels written in CUDA C++ and the
 * operations on them. It owns the GPU's memory and nothing of models or requests; nothing refers to
 * it by name.
 */
@NullMarked
package io.flotilla.kernels.cuda;

import org.jspecify.annotations.NullMarked;
