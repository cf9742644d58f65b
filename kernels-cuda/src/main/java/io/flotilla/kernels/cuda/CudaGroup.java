package io.flotilla.kernels.cuda;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.cpu.Meetings;
import java.util.Arrays;
import java.util.List;

/**
 * What the ranks of a group share: where each rank has put its part and which event says that it is
 * there, the memory in which kernels exchange where each rank has a GPU of its own, and the
 * messages between any two.
 */
final class CudaGroup {
  private static final long SPIN_NANOS = 50_000;

  private final List<CudaDevice> devices;
  private final AbortSignal abort;
  private final boolean ownGpus;
  private final Meetings meetings;
  private final Part[][] parts;
  private final Long[] exchanges;
  private final CudaMessages[][] messages;

  /**
   * A rank's part of an exchange.
   *
   * @param address in the rank's device memory
   * @param event recorded when the part is there
   * @param sizes for an exchange of parts, the bytes for each rank; of columns, the first and their
   *     number
   */
  @SuppressWarnings("ArrayRecordComponent") // Read by the other ranks, never changed.
  record Part(long address, long event, long[] sizes) {}

  CudaGroup(List<CudaDevice> devices, int capacity, AbortSignal abort) {
    int size = devices.size();
    this.devices = devices;
    this.abort = abort;
    this.ownGpus = devices.stream().noneMatch(CudaDevice::isShared);
    this.exchanges = new Long[size];
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

  /**
   * Whether no rank shares its GPU, also not with one outside the group: a kernel that waits may
   * hold up what any other has enqueued there.
   */
  boolean hasOwnGpus() {
    return ownGpus;
  }

  AbortSignal abort() {
    return abort;
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

  /** Shows the others where they write, from the next meeting on. */
  void publishExchange(int rank, long address) {
    exchanges[rank] = address;
  }

  List<Long> exchanges() {
    return List.of(exchanges);
  }

  Part part(int half, int rank) {
    return parts[half][rank];
  }
}
