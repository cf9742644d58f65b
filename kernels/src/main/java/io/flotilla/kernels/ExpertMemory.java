package io.flotilla.kernels;

/**
 * Memory for the rows of one expert at a time, F32, enough for all rows of a step.
 *
 * @param gathered {@code [rows, hidden]}
 * @param projected of any shape, for {@code [rows, 2 x intermediate]}
 * @param mixed of any shape, for {@code [rows, intermediate]}
 * @param results {@code [rows, hidden]}
 */
public record ExpertMemory(Tensor gathered, Tensor projected, Tensor mixed, Tensor results) {}
