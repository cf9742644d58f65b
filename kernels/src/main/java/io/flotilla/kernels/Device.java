package io.flotilla.kernels;

import java.lang.foreign.MemorySegment;

/**
 * What one rank owns: a GPU, or a fixed set of CPU cores. A device's memory lives until the device
 * is closed. All methods are called by the rank's thread.
 */
public interface Device extends AutoCloseable {
  /** For logs and error messages, such as {@code cpu (2 threads, Vector API, 512 bit)}. */
  String name();

  /**
   * Zeroed memory, aligned to 64 bytes.
   *
   * @throws OutOfMemoryError naming the bytes asked for, when there is not that much
   */
  Buffer allocate(long bytes);

  /**
   * Makes host memory readable on the device: in place where the device can read it (a CPU), by a
   * copy where it cannot. The caller keeps the segment alive as long as the device.
   */
  Buffer map(MemorySegment host);

  /** Makes the calling thread the rank's own: called once by it, before anything else. */
  default void attach() {}

  /** A queue of work for this device. */
  Stream openStream();

  /** The operations of this device. */
  Ops ops();

  /** The layout of one layer's KV cache on this device, in {@code blocks} pages. */
  KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize);

  /** Bytes of one block of one layer's KV cache, keys and values together. */
  long kvBlockBytes(AttentionShape shape, int blockSize);

  /**
   * A number that grows while operations make progress (on a CPU, once a tile), so that a slow
   * operation can be told from a hung one. Readable from any thread.
   */
  long progress();

  @Override
  void close();
}
