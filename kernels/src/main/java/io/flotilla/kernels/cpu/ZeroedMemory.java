package io.flotilla.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Zeroed memory that costs nothing until it is touched. An arena's own allocation writes every
 * zero, which takes a second for a few gigabytes; C's {@code calloc} gets large pieces as pages
 * that the system clears when they are first used.
 */
@SuppressWarnings("restricted") // The two functions of the C library below are all that is called.
final class ZeroedMemory {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle CALLOC =
      link(
          "calloc",
          FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
  private static final MethodHandle FREE =
      link("free", FunctionDescriptor.ofVoid(ValueLayout.ADDRESS));

  private ZeroedMemory() {}

  /**
   * Allocates memory that is freed with the arena.
   *
   * @throws OutOfMemoryError when the system has not that much
   */
  static MemorySegment allocate(long bytes, long alignment, Arena arena) {
    long padded = Math.addExact(bytes, alignment);
    try {
      MemorySegment start = (MemorySegment) CALLOC.invokeExact(1L, padded);
      if (start.address() == 0) {
        throw new OutOfMemoryError("calloc of " + padded + " bytes failed");
      }
      MemorySegment whole = start.reinterpret(padded, arena, ZeroedMemory::free);
      return whole.asSlice(-start.address() & (alignment - 1), bytes, alignment);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("calloc", e);
    }
  }

  private static void free(MemorySegment start) {
    try {
      FREE.invokeExact(start);
    } catch (Throwable e) {
      throw new IllegalStateException("free", e);
    }
  }

  private static MethodHandle link(String name, FunctionDescriptor descriptor) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor);
  }
}
