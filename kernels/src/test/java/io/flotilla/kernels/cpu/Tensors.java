package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;

/** Small tensors in off-heap memory, and their values as arrays. */
final class Tensors {
  private final Arena arena;
  private final Random random;

  Tensors(Arena arena, long seed) {
    this.arena = arena;
    this.random = new Random(seed);
  }

  /** Zeros. */
  Tensor floats(int rows, int columns) {
    long bytes = TensorType.F32.bytes((long) rows * columns);
    return Tensor.of(new CpuBuffer(arena.allocate(bytes, 64)), TensorType.F32, rows, columns);
  }

  /** Normally distributed values. */
  Tensor random(int rows, int columns) {
    Tensor tensor = floats(rows, columns);
    MemorySegment memory = NativeMemory.segment(tensor);
    for (long i = 0; i < (long) rows * columns; i++) {
      memory.set(NativeMemory.FLOAT, i * Float.BYTES, (float) random.nextGaussian());
    }
    return tensor;
  }

  /** A matrix as a file may hold it: at an odd byte, of random blocks with scales below one. */
  Tensor stored(TensorType type, int rows, int columns) {
    MemorySegment file = arena.allocate(1 + type.bytes((long) rows * columns));
    MemorySegment memory = file.asSlice(1);
    byte[] bytes = new byte[(int) memory.byteSize()];
    random.nextBytes(bytes);
    memory.copyFrom(MemorySegment.ofArray(bytes));
    for (long offset = 0; offset < memory.byteSize(); offset += type.blockBytes()) {
      scale(memory.asSlice(offset, type.blockBytes()), type);
    }
    return Tensor.of(new CpuBuffer(memory), type, rows, columns);
  }

  private void scale(MemorySegment block, TensorType type) {
    float value = (float) random.nextGaussian();
    short half = Float.floatToFloat16(value / (type.blockElements() == 256 ? 4096 : 64));
    switch (type) {
      case F32 -> block.set(NativeMemory.FLOAT, 0, value);
      case F16 -> block.set(NativeMemory.SHORT, 0, Float.floatToFloat16(value));
      case BF16 ->
          block.set(NativeMemory.SHORT, 0, (short) (Float.floatToRawIntBits(value) >>> 16));
      case Q8_0, Q4_0, Q5_0 -> block.set(NativeMemory.SHORT, 0, half);
      case Q4_1, Q5_1, Q4_K, Q5_K -> {
        block.set(NativeMemory.SHORT, 0, half);
        block.set(NativeMemory.SHORT, 2, half);
      }
      case Q6_K -> block.set(NativeMemory.SHORT, 208, half);
      case I32 -> {}
    }
  }

  /** An I32 matrix of one row. */
  Tensor integers(int... values) {
    return integers(1, values);
  }

  /** An I32 matrix. */
  Tensor integers(int rows, int[] values) {
    MemorySegment memory = arena.allocate((long) values.length * Integer.BYTES, 64);
    for (int i = 0; i < values.length; i++) {
      memory.set(NativeMemory.INT, (long) i * Integer.BYTES, values[i]);
    }
    return Tensor.of(new CpuBuffer(memory), TensorType.I32, rows, values.length / rows);
  }

  /** A copy of one row, widened. */
  static float[] row(Tensor tensor, int row) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment widened = arena.allocate(TensorType.F32.bytes(tensor.columns()), 64);
      BlockFormat.widen(
          tensor.type(),
          NativeMemory.segment(tensor),
          row * tensor.rowBytes(),
          tensor.columns(),
          widened);
      return widened.toArray(NativeMemory.FLOAT);
    }
  }
}
