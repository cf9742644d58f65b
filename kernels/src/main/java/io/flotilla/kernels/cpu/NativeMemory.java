package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** How kernels read memory: little-endian, and at any byte, because safetensors aligns nothing. */
final class NativeMemory {
  static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** All of memory, by address: for what {@link Tensor} and {@link Buffer} have checked. */
  @SuppressWarnings("restricted")
  static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private NativeMemory() {}

  /** The memory of a buffer of this device. */
  static MemorySegment segment(Buffer buffer) {
    return ((CpuBuffer) buffer).segment();
  }

  /** The memory of a tensor of this device, from its first element. */
  static MemorySegment segment(Tensor tensor) {
    return segment(tensor.buffer());
  }

  /** The address of a tensor's first element. */
  static long address(Tensor tensor) {
    return segment(tensor).address();
  }

  /** The address of a buffer of this device. */
  static long address(Buffer buffer) {
    return segment(buffer).address();
  }

  /** Element {@code index} of an I32 vector. */
  static int integer(Tensor vector, int index) {
    return segment(vector).get(INT, (long) index * Integer.BYTES);
  }

  /** The half-precision number at a byte, widened. */
  static float half(MemorySegment from, long offset) {
    return Float.float16ToFloat(from.get(SHORT, offset));
  }

  static float getFloat(long address) {
    return ALL.get(FLOAT, address);
  }

  static void setInt(long address, int value) {
    ALL.set(INT, address, value);
  }

  static void setFloat(long address, float value) {
    ALL.set(FLOAT, address, value);
  }

  static int getInt(long address) {
    return ALL.get(INT, address);
  }

  static int getByte(long address) {
    return ALL.get(ValueLayout.JAVA_BYTE, address);
  }

  static float getHalf(long address) {
    return Float.float16ToFloat(ALL.get(SHORT, address));
  }

  static void copy(long from, long to, long bytes) {
    MemorySegment.copy(ALL, from, ALL, to, bytes);
  }

  static void clear(long address, long bytes) {
    ALL.asSlice(address, bytes).fill((byte) 0);
  }
}
