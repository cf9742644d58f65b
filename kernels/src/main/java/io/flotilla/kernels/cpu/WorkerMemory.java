package io.flotilla.kernels.cpu;

import java.lang.foreign.Arena;

/** Scratch memory of each worker of a team, as large as was ever asked for. */
final class WorkerMemory {
  private static final long ALIGNMENT = 4096;

  private final Arena arena;
  private final long[] addresses;
  private final long[] sizes;

  /**
   * @param arena that frees the memory
   */
  WorkerMemory(int workers, Arena arena) {
    this.arena = arena;
    this.addresses = new long[workers];
    this.sizes = new long[workers];
  }

  /** The address of at least {@code bytes} bytes; only the worker itself may ask. */
  long reserve(int worker, long bytes) {
    if (bytes > sizes[worker]) {
      addresses[worker] = arena.allocate(bytes, ALIGNMENT).address();
      sizes[worker] = bytes;
    }
    return addresses[worker];
  }
}
