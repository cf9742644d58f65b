package io.flotilla.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.BitSet;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which processors a thread runs on, by Linux' {@code sched_setaffinity(2)}. Elsewhere no processor
 * is known and nothing is pinned.
 */
final class Affinity {
  private static final int MASK_BYTES = 1024;

  private static final FunctionDescriptor SIGNATURE =
      FunctionDescriptor.of(
          ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.ADDRESS);

  private Affinity() {}

  /** The processors the calling thread may run on; empty where that is not known. */
  static List<Integer> allowed() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mask = arena.allocate(MASK_BYTES, 8);
      if (call("sched_getaffinity", mask) < 0) {
        return List.of();
      }
      BitSet bits = BitSet.valueOf(mask.asByteBuffer());
      return IntStream.range(0, 8 * MASK_BYTES).filter(bits::get).boxed().toList();
    }
  }

  /** Lets the calling thread run on these processors only; without effect where it cannot be. */
  static void pin(List<Integer> processors) {
    if (processors.isEmpty()) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mask = arena.allocate(MASK_BYTES, 8);
      BitSet bits = new BitSet();
      processors.forEach(bits::set);
      byte[] bytes = bits.toByteArray();
      MemorySegment.copy(bytes, 0, mask, ValueLayout.JAVA_BYTE, 0, bytes.length);
      call("sched_setaffinity", mask);
    }
  }

  /** Negative when the call failed or is not there. */
  @SuppressWarnings("restricted")
  private static int call(String name, MemorySegment mask) {
    Linker linker = Linker.nativeLinker();
    MemorySegment function = linker.defaultLookup().find(name).orElse(MemorySegment.NULL);
    if (function.equals(MemorySegment.NULL)) {
      return -1;
    }
    MethodHandle handle = linker.downcallHandle(function, SIGNATURE);
    try {
      return (int) handle.invokeExact(0, mask.byteSize(), mask);
    } catch (Throwable failure) {
      throw new IllegalStateException(name + " could not be called", failure);
    }
  }
}
