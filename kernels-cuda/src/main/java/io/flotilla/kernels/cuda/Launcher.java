package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Launches kernels of the fatbin. Parameters are gathered first, in the order of the kernel's own,
 * then {@link #launch} takes them. Used by one thread.
 *
 * <pre>
 *   CUlaunchConfig     0 grid x y z, block x y z, dynamic shared bytes (u32 each) | 32 stream
 *                      40 attributes | 48 number of attributes | 56 bytes in all
 *   CUlaunchAttribute  0 id | 8 value | 72 bytes in all
 * </pre>
 */
final class Launcher {
  private static final int SHARED_BYTES_UNASKED = 48 << 10;
  private static final int SLOTS = 24;
  private static final int SLOT_BYTES = 192;
  private static final int OVERLAP_PREVIOUS = 6; // Programmatic stream serialization.

  private final Driver driver;
  private final int device;
  private final long kernels;
  private final boolean overlap;
  private final Map<String, Long> handles = new HashMap<>();
  private final Map<String, Integer> sharedLimits = new HashMap<>();
  private final MemorySegment configuration;
  private final MemorySegment values;
  private final MemorySegment pointers;
  private final AtomicLong launches = new AtomicLong();
  private String last = "";
  private int count;

  /**
   * @param overlap whether a kernel may start before the one ahead has ended
   */
  Launcher(Driver driver, int device, long kernels, boolean overlap, Arena arena) {
    this.driver = driver;
    this.device = device;
    this.kernels = kernels;
    this.overlap = overlap;
    this.configuration = arena.allocate(56, 8);
    this.values = arena.allocate((long) SLOTS * SLOT_BYTES, 16);
    this.pointers = arena.allocate(ADDRESS, SLOTS);
    for (int i = 0; i < SLOTS; i++) {
      pointers.setAtIndex(ADDRESS, i, values.asSlice((long) i * SLOT_BYTES));
    }
    MemorySegment attribute = arena.allocate(72, 8);
    attribute.set(JAVA_INT, 0, OVERLAP_PREVIOUS);
    attribute.set(JAVA_INT, 8, 1);
    configuration.set(ADDRESS, 40, attribute);
  }

  /** Launches so far. Readable from any thread. */
  long launches() {
    return launches.get();
  }

  Launcher pointer(long address) {
    values.set(JAVA_LONG, (long) count++ * SLOT_BYTES, address);
    return this;
  }

  Launcher number(long value) {
    return pointer(value);
  }

  Launcher number(int value) {
    values.set(JAVA_INT, (long) count++ * SLOT_BYTES, value);
    return this;
  }

  Launcher number(float value) {
    values.set(JAVA_FLOAT, (long) count++ * SLOT_BYTES, value);
    return this;
  }

  /** A struct of at most 192 bytes, to be filled by the caller. */
  MemorySegment struct() {
    return values.asSlice((long) count++ * SLOT_BYTES, SLOT_BYTES);
  }

  /** Whether a kernel was the last launch. */
  boolean follows(String kernel) {
    return last.equals(kernel);
  }

  /** The blocks of a launch and what each has. */
  record Grid(int x, int y, int z, int threads, int sharedBytes) {
    static Grid of(int x, int threads) {
      return new Grid(x, 1, 1, threads, 0);
    }

    static Grid of(int x, int y, int threads) {
      return new Grid(x, y, 1, threads, 0);
    }
  }

  /** Launches a kernel with the parameters gathered. */
  void launch(String name, Grid grid, long stream) {
    launch(name, grid, stream, overlap);
  }

  /** Launches a kernel that does not wait for the one before by itself. */
  void launchAlone(String name, Grid grid, long stream) {
    launch(name, grid, stream, false);
  }

  /** A grid without blocks is one without rows: a rank may have none of a step's. */
  private void launch(String name, Grid grid, long stream, boolean early) {
    count = 0;
    if (grid.x == 0 || grid.y == 0) {
      return;
    }
    configuration.set(JAVA_INT, 0, grid.x);
    configuration.set(JAVA_INT, 4, grid.y);
    configuration.set(JAVA_INT, 8, grid.z);
    configuration.set(JAVA_INT, 12, grid.threads);
    configuration.set(JAVA_INT, 16, 1);
    configuration.set(JAVA_INT, 20, 1);
    configuration.set(JAVA_INT, 24, grid.sharedBytes);
    configuration.set(JAVA_LONG, 32, stream);
    configuration.set(JAVA_INT, 48, early ? 1 : 0);
    driver.launch(configuration, handle(name, grid.sharedBytes), pointers);
    last = name;
    launches.incrementAndGet();
  }

  private long handle(String name, int sharedBytes) {
    long handle = handles.computeIfAbsent(name, _ -> driver.kernel(kernels, name));
    if (sharedBytes > sharedLimits.getOrDefault(name, SHARED_BYTES_UNASKED)) {
      driver.allowSharedBytes(handle, sharedBytes, device);
      sharedLimits.put(name, sharedBytes);
    }
    return handle;
  }

  /** A kernel was launched that is not of the fatbin. */
  void launchedOther() {
    last = "";
    progressed();
  }

  /** Work that is not a kernel made progress. */
  void progressed() {
    launches.incrementAndGet();
  }
}
