package io.flotilla.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/**
 * An ordered queue of work on one device. Operations return when they are enqueued; what the host
 * wants to read it copies back and waits for. A CPU stream runs everything at once, on its rank.
 */
public interface Stream extends AutoCloseable {
  /**
   * Copies host memory to the device; the host memory may change once {@link #synchronize}
   * returned.
   */
  void upload(MemorySegment from, Buffer to);

  /**
   * Copies to the device what is computed in host memory of as many bytes, and waits for the copy.
   * A stream that keeps nothing need not compute it.
   */
  default void fill(Buffer to, Consumer<MemorySegment> values) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(to.bytes(), Float.BYTES);
      values.accept(host);
      upload(host, to);
      synchronize();
    }
  }

  /** Copies device memory to the host; the result is there once {@link #synchronize} returned. */
  void download(Buffer from, MemorySegment to);

  /** Waits until all enqueued work is done. */
  void synchronize();

  /** Marks the end of the work enqueued so far. */
  default Mark mark() {
    return Mark.PASSED;
  }

  /**
   * Runs work that enqueues operations on this stream, and no copies. A device that can record it
   * replays the record when the key comes again.
   *
   * @param key equal for work that enqueues the same operations on the same tensors
   */
  default void repeat(Object key, Runnable work) {
    work.run();
  }

  @Override
  void close();
}
