package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Stream;
import java.lang.foreign.MemorySegment;

/**
 * The stream of a CPU: everything is done when the call returns, so there is nothing to wait for.
 */
final class CpuStream implements Stream {
  @Override
  public void upload(MemorySegment from, Buffer to) {
    MemorySegment.copy(from, 0, NativeMemory.segment(to), 0, from.byteSize());
  }

  @Override
  public void download(Buffer from, MemorySegment to) {
    MemorySegment.copy(NativeMemory.segment(from), 0, to, 0, from.bytes());
  }

  @Override
  public void synchronize() {}

  @Override
  public void close() {}
}
