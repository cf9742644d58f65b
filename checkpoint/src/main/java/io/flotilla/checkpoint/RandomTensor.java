package io.flotilla.checkpoint;

/**
 * How a tensor of random elements is made, for devices that make it themselves: element {@code i}
 * is {@code values[b]}, where b is byte {@code i % 8} of the word {@code SplitMix64(key + i / 8 *
 * golden)}.
 *
 * @param values 256 numbers
 */
@SuppressWarnings("ArrayRecordComponent") // A table, read once.
public record RandomTensor(long key, float[] values) {}
