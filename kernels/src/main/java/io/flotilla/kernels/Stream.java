package io.flotilla.kernels;

import java.lang.foreign.MemorySegment;

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
