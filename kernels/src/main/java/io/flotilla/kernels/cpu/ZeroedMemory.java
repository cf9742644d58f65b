package io.flotilla.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Zeroed memory that costs nothing until it is touched, in huge pages where the system has them to
 * give: a step walks through all of it. An arena's own allocation writes every zero, which takes a
 * second for a few gigabytes; C's {@code calloc} gets large pieces as pages that the system clears
 * when they are first used.
 */
@SuppressWarnings("restricted") // The functions of the C library below are all that is called.
final class ZeroedMemory {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle CALLOC =
      link(
          "calloc",
          FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
  private static final MethodHandle ADVISE =
      link(
          "madvise",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT));
  private static final MethodHandle FREE =
      link("free", FunctionDescriptor.ofVoid(ValueLayout.ADDRESS));

  private static final long HUGE_PAGE = 2 << 20;
  private static final int HUGE_PAGES = 14; // MADV_HUGEPAGE

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
      adviseHugePages(start.address(), start.address() + padded);
      MemorySegment whole = start.reinterpret(padded, arena, ZeroedMemory::free);
      return whole.asSlice(-start.address() & (alignment - 1), bytes, alignment);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("calloc", e);
    }
  }

  /** Best effort: a system without huge pages has small ones. */
  private static void adviseHugePages(long from, long to) throws Throwable {
    long first = (from + HUGE_PAGE - 1) & -HUGE_PAGE;
    long end = to & -HUGE_PAGE;
    if (first < end) {
      int _ = (int) ADVISE.invokeExact(first, end - first, HUGE_PAGES);
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
