package io.flotilla.kernels;

import java.lang.foreign.MemorySegment;

/** Where the elements of a matrix come from that is to be brought to a device. */
public sealed interface MatrixSource {
  int rows();

  int columns();

  /** The matrix of {@code count} rows from row {@code from}. */
  MatrixSource sliceRows(int from, int count);

  /** The matrix of {@code count} columns of every row, from column {@code from}. */
  MatrixSource sliceColumns(int from, int count);

  /**
   * A matrix in host memory, {@code stride} elements from the start of one row to the next.
   *
   * @param data starts at the first element of the first row
   */
  record Stored(MemorySegment data, TensorType type, int rows, int columns, int stride)
      implements MatrixSource {
    @Override
    public Stored sliceRows(int from, int count) {
      long offset = type.bytes((long) from * stride);
      return new Stored(data.asSlice(offset), type, count, columns, stride);
    }

    @Override
    public Stored sliceColumns(int from, int count) {
      return new Stored(data.asSlice(type.bytes(from)), type, rows, count, stride);
    }
  }

  /**
   * A matrix of random elements: element {@code i} of the whole is {@code values[b]}, where b is
   * byte {@code i % 8} of the word {@code SplitMix64(key + i / 8 * golden)}.
   *
   * @param values 256 numbers
   * @param first the index of this matrix's first element in the whole
   * @param stride elements from the start of one row to the next
   */
  @SuppressWarnings("ArrayRecordComponent") // A table, read once a device.
  record Random(long key, float[] values, long first, int rows, int columns, int stride)
      implements MatrixSource {
    @Override
    public Random sliceRows(int from, int count) {
      return new Random(key, values, first + (long) from * stride, count, columns, stride);
    }

    @Override
    public Random sliceColumns(int from, int count) {
      return new Random(key, values, first + from, rows, count, stride);
    }
  }
}
