package io.flotilla.kernels;

/**
 * A matrix in device memory: {@code rows} rows of {@code columns} elements, {@code stride} elements
 * from the start of one row to the next. A vector is a matrix of one row.
 *
 * @param buffer starts at the first element of the first row
 * @param stride at least {@code columns}; both are whole blocks of {@code type}
 */
public record Tensor(Buffer buffer, TensorType type, int rows, int columns, int stride) {
  /**
   * @throws IllegalArgumentException when the buffer is too small for the shape
   */
  public Tensor {
    if (rows < 0 || columns < 0 || stride < columns) {
      throw new IllegalArgumentException(
          "bad shape: rows " + rows + ", columns " + columns + ", stride " + stride);
    }
    long needed = rows == 0 ? 0 : type.bytes((long) (rows - 1) * stride) + type.bytes(columns);
    if (buffer.bytes() < needed) {
      throw new IllegalArgumentException(
          "a "
              + rows
              + " x "
              + columns
              + " "
              + type
              + " tensor needs "
              + needed
              + " bytes, the buffer has "
              + buffer.bytes());
    }
  }

  /** A tensor whose rows follow each other without gaps. */
  public static Tensor of(Buffer buffer, TensorType type, int rows, int columns) {
    return new Tensor(buffer, type, rows, columns, columns);
  }

  /** Allocates a tensor of zeros on a device. */
  public static Tensor allocate(Device device, TensorType type, int rows, int columns) {
    return of(device.allocate(type.bytes((long) rows * columns)), type, rows, columns);
  }

  /** Bytes from the start of one row to the start of the next. */
  public long rowBytes() {
    return type.bytes(stride);
  }

  /** The tensor's own part of its buffer, which may be longer; gaps between rows included. */
  public Buffer memory() {
    long bytes = rows == 0 ? 0 : (rows - 1) * rowBytes() + type.bytes(columns);
    return buffer.slice(0, bytes);
  }

  /** The view of {@code count} rows from row {@code from}. */
  public Tensor sliceRows(int from, int count) {
    if (from < 0 || count < 0 || from + count > rows) {
      throw new IndexOutOfBoundsException("rows " + from + "+" + count + " of " + rows);
    }
    long offset = from * rowBytes();
    long bytes = count == 0 ? 0 : (count - 1) * rowBytes() + type.bytes(columns);
    return new Tensor(buffer.slice(offset, bytes), type, count, columns, stride);
  }

  /** The view of {@code count} columns of every row, from column {@code from}. */
  public Tensor sliceColumns(int from, int count) {
    if (from < 0 || count < 0 || from + count > columns) {
      throw new IndexOutOfBoundsException("columns " + from + "+" + count + " of " + columns);
    }
    long offset = type.bytes(from);
    long bytes = rows == 0 ? 0 : (rows - 1) * rowBytes() + type.bytes(count);
    return new Tensor(buffer.slice(offset, bytes), type, rows, count, stride);
  }
}
