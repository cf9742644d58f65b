package io.flotilla.executor;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * Host memory that is written and then uploaded in one copy. There are several copies of it on the
 * host, taken in turn, because a step is prepared while the copy of the one before may still be
 * read.
 */
final class StagedBytes {
  static final int COPIES = 3;

  private final MemorySegment[] hosts;
  private final Buffer device;
  private int current;

  StagedBytes(Device device, Arena arena, long bytes) {
    this.hosts =
        IntStream.range(0, COPIES)
            .mapToObj(_ -> device.allocateHost(arena, bytes))
            .toArray(MemorySegment[]::new);
    this.device = device.allocate(bytes);
  }

  /** Bytes on host and device. */
  long bytes() {
    return (COPIES + 1) * device.bytes();
  }

  /** Where to write what {@link #upload} takes; another place after each upload. */
  MemorySegment host() {
    return hosts[current];
  }

  /** Uploads the first bytes. */
  Buffer upload(Stream stream, long bytes) {
    Buffer used = device.slice(0, bytes);
    if (bytes == 0) {
      return used;
    }
    stream.upload(host().asSlice(0, bytes), used);
    current = (current + 1) % COPIES;
    return used;
  }
}
