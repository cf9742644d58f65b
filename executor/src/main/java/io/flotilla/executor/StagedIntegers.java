package io.flotilla.executor;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Integers written on the host, then uploaded in one copy. The memory is allocated once. */
final class StagedIntegers {
  private final MemorySegment host;
  private final Buffer device;

  StagedIntegers(Device device, Arena arena, int capacity) {
    this.host = arena.allocate(ValueLayout.JAVA_INT, capacity);
    this.device = device.allocate(host.byteSize());
  }

  /** Bytes on host and device. */
  long bytes() {
    return 2 * host.byteSize();
  }

  void set(int index, int value) {
    host.setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  void set(int index, int[] values, int count) {
    MemorySegment.copy(values, 0, host, ValueLayout.JAVA_INT, (long) index * Integer.BYTES, count);
  }

  /** Uploads the first {@code rows * columns} integers. */
  Tensor upload(Stream stream, int rows, int columns) {
    long bytes = (long) rows * columns * Integer.BYTES;
    Buffer used = device.slice(0, bytes);
    stream.upload(host.asSlice(0, bytes), used);
    return Tensor.of(used, TensorType.I32, rows, columns);
  }
}
