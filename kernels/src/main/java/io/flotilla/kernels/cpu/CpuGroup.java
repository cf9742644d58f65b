package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AbortSignal;
import java.lang.foreign.Arena;

/**
 * What the ranks of a group share: where each rank's memory lies, who has arrived at which meeting,
 * and the messages between any two.
 *
 * <p>A rank publishes its memory before it arrives at a meeting, and reads what others published
 * after it.
 */
final class CpuGroup {
  /** What different ranks publish is this far apart, not to share a cache line or its pair. */
  private static final int STRIDE = 16;

  private static final long ALIGNMENT = 128;

  private final Meetings meetings;
  private final long[] published;
  private final long[][] parts;
  private final MessageQueue[][] queues;
  private final Arena arena = Arena.ofAuto();
  private final long[] staging;
  private final long stagingBytes;

  /**
   * @param spinNanos of each rank: how long it spins before it parks
   * @param messages on their way from one rank to another at most
   * @param stagingBytes of memory of each rank for what is exchanged by copy, twice
   */
  CpuGroup(long[] spinNanos, int messages, long stagingBytes, AbortSignal abort) {
    int size = spinNanos.length;
    this.meetings = new Meetings(spinNanos, abort);
    this.published = new long[(size + 1) * STRIDE];
    this.parts = new long[size][];
    this.staging = new long[size];
    this.stagingBytes = stagingBytes;
    for (int rank = 0; rank < size; rank++) {
      staging[rank] = arena.allocate(2 * stagingBytes, ALIGNMENT).address();
    }
    this.queues = new MessageQueue[size][size];
    for (int from = 0; from < size; from++) {
      for (int to = 0; to < size; to++) {
        queues[from][to] = new MessageQueue(meetings.waiter(from), meetings.waiter(to), messages);
      }
    }
  }

  int size() {
    return meetings.size();
  }

  Meetings meetings() {
    return meetings;
  }

  MessageQueue queue(int from, int to) {
    return queues[from][to];
  }

  /**
   * The address of a rank's staging memory.
   *
   * @param half 0 or 1: used in turns, so that one may be filled while others still read the other
   */
  long staging(int rank, int half) {
    return staging[rank] + half * stagingBytes;
  }

  /** Says where a rank's memory lies, and for an exchange of parts, how long they are. */
  void publish(int rank, long address, long[] sentBytes) {
    published[(rank + 1) * STRIDE] = address;
    parts[rank] = sentBytes;
  }

  long published(int rank) {
    return published[(rank + 1) * STRIDE];
  }

  long[] parts(int rank) {
    return parts[rank];
  }
}
