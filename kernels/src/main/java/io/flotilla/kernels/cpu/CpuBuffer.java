package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Buffer;
import java.lang.foreign.MemorySegment;

/** Host memory: allocated off the heap, or a mapped file used where it lies. */
public record CpuBuffer(MemorySegment segment) implements Buffer {
  @Override
  public long bytes() {
    return segment.byteSize();
  }

  @Override
  public CpuBuffer slice(long offset, long bytes) {
    return new CpuBuffer(segment.asSlice(offset, bytes));
  }
}
