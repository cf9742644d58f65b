package io.flotilla.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Host memory that a GPU copies from while the host fills the next part of it. Used by one thread
 * and one stream at a time.
 */
final class PinnedRing implements AutoCloseable {
  static final int PART_BYTES = 16 << 20;
  private static final int PARTS = 4;

  private final Driver driver;
  private final MemorySegment memory;
  private final long[] read = new long[PARTS];
  private int next;

  PinnedRing(Driver driver) {
    this.driver = driver;
    this.memory = driver.allocateHost((long) PARTS * PART_BYTES);
    for (int part = 0; part < PARTS; part++) {
      read[part] = driver.createEvent();
    }
  }

  /** The next part, {@link #PART_BYTES} large, once what was last copied from it has been read. */
  MemorySegment take() {
    driver.awaitEvent(read[next]);
    return memory.asSlice((long) next * PART_BYTES, PART_BYTES);
  }

  /** Says that all copies from the part taken last are in the stream. */
  void sent(long stream) {
    driver.recordEvent(read[next], stream);
    next = (next + 1) % PARTS;
  }

  @Override
  public void close() {
    for (long event : read) {
      driver.destroyEvent(event);
    }
    driver.freeHost(memory);
  }
}
