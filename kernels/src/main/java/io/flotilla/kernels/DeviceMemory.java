package io.flotilla.kernels;

/**
 * The memory of a device that has its own.
 *
 * @param total bytes it has
 * @param free bytes of them that can be had now
 */
public record DeviceMemory(long total, long free) {}
