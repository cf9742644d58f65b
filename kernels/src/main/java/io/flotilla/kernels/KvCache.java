package io.flotilla.kernels;

/**
 * One layer's paged keys and values. The layout inside a block is the device's own.
 *
 * @param blockSize tokens a block holds
 */
public record KvCache(
    AttentionShape shape, int blocks, int blockSize, Buffer keys, Buffer values) {}
