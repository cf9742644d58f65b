package io.flotilla.kernels.cuda;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.cpu.Meetings;
import java.util.Arrays;
import java.util.List;

/**
 * What the ranks of a group share: where each rank has put its part and which event says that it is
 * there, and the messages between any two.
 */
final class CudaGroup {
  private static final long SPIN_NANOS = 50_000;

  private final List<CudaDevice> devices;
  private final Meetings meetings;
  private final Part[][] parts;
  private final CudaMessages[][] messages;

  /**
   * A rank's part of an exchange.
   *
   * @param address in the rank's device memory
   * @param event recorded when the part is there
   * @param sentBytes for an exchange of parts, how much is for each rank
   */
  @SuppressWarnings("ArrayRecordComponent") // Read by the other ranks, never changed.
  record Part(long address, long event, long[] sentBytes) {}

  CudaGroup(List<CudaDevice> devices, int capacity, AbortSignal abort) {
    int size = devices.size();
    this.devices = devices;
    long[] spins = new long[size];
    Arrays.fill(spins, SPIN_NANOS);
    this.meetings = new Meetings(spins, abort);
    this.parts = new Part[2][size];
    this.messages = new CudaMessages[size][size];
    for (int from = 0; from < size; from++) {
      for (int to = 0; to < size; to++) {
        messages[from][to] = new CudaMessages(this, from, to, capacity);
      }
    }
  }

  int size() {
    return devices.size();
  }

  CudaDevice device(int rank) {
    return devices.get(rank);
  }

  Meetings meetings() {
    return meetings;
  }

  CudaMessages messages(int from, int to) {
    return messages[from][to];
  }

  /**
   * Shows a part to the others, from the next meeting on.
   *
   * @param half 0 or 1: used in turns, so that one may be filled while others still read the other
   */
  void publish(int half, int rank, Part part) {
    parts[half][rank] = part;
  }

  Part part(int half, int rank) {
    return parts[half][rank];
  }
}
