package io.flotilla.kernels;

/** A range of one device's memory. Its device frees it; nothing else may. */
public interface Buffer {
  /** Length in bytes. */
  long bytes();

  /**
   * A view of {@code bytes} bytes from {@code offset}.
   *
   * @throws IndexOutOfBoundsException when it does not lie inside this buffer
   */
  Buffer slice(long offset, long bytes);
}
