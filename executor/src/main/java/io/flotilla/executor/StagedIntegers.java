package io.flotilla.executor;

import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Integers written on the host, then uploaded in one copy. The memory is allocated once. */
final class StagedIntegers {
  private final StagedBytes staged;

  StagedIntegers(Device device, Arena arena, int capacity) {
    this.staged = new StagedBytes(device, arena, (long) capacity * Integer.BYTES);
  }

  /** Bytes on host and device. */
  long bytes() {
    return staged.bytes();
  }

  void set(int index, int value) {
    staged.host().setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  void set(int index, int[] values, int count) {
    set(index, values, 0, count);
  }

  void set(int index, int[] values, int from, int count) {
    MemorySegment.copy(
        values, from, staged.host(), ValueLayout.JAVA_INT, (long) index * Integer.BYTES, count);
  }

  /** Uploads the first {@code rows * columns} integers. */
  Tensor upload(Stream stream, int rows, int columns) {
    long bytes = (long) rows * columns * Integer.BYTES;
    return Tensor.of(staged.upload(stream, bytes), TensorType.I32, rows, columns);
  }
}
