package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Pinned memory through which the host and kernels that wait for other ranks tell each other
 * something: whether to give up (i32), and whether one has waited for long (i32 at 4). Any thread.
 */
final class HostSignal implements AutoCloseable {
  private static final int BYTES = 8;

  private final Driver driver;
  private final long address;
  private @Nullable MemorySegment memory;

  HostSignal(Driver driver) {
    MemorySegment allocated = driver.allocateHost(BYTES).fill((byte) 0);
    this.driver = driver;
    this.address = allocated.address();
    this.memory = allocated;
  }

  /** Where kernels find it. */
  long address() {
    return address;
  }

  /** Lets kernels give up; does nothing once it is closed. */
  synchronized void raise() {
    if (memory != null) {
      memory.set(JAVA_INT, 0, 1);
    }
  }

  /** Whether a kernel waits, for some milliseconds already. */
  synchronized boolean isWaiting() {
    return memory != null && memory.get(JAVA_INT, 4) != 0;
  }

  @Override
  public synchronized void close() {
    if (memory != null) {
      driver.freeHost(memory);
      memory = null;
    }
  }
}
