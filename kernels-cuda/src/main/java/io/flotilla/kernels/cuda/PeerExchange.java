package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * One rank's side of exchanges by kernels that write to other ranks' memory and wait there for what
 * those write. Nothing of it passes through the host, so it can be recorded; but every rank needs a
 * GPU of its own, for kernels that wait keep others from it. Layouts are those of peers.cuh.
 *
 * <pre>
 *   Peers  0 address of each of 8 ranks' memory | 64 host signal | 72 rank | 76 ranks | 80 room
 * </pre>
 */
final class PeerExchange {
  /** Ahead of the inbox. */
  private static final long COUNTER_BYTES = 20_992;

  /** What a rank pushes to all others at most: from twice that on, sums in place are faster. */
  private static final int PUSHED_BYTES = 1 << 20;

  private static final int PACKET_BYTES = 16;
  private static final int PUSHED_IN_PACKET = 8;
  private static final int VECTOR_BYTES = 16;
  private static final int PUT_BYTES = 8;
  private static final int PUSHERS = 256;
  private static final int THREADS = 512;
  private static final int MOST_PUSHING_BLOCKS = 128;
  private static final int MOST_BLOCKS = 64;

  private final Launcher launcher;
  private final HostSignal signal;
  private final CudaBuffer memory;
  private final int rank;
  private final long[] addresses;
  private final int room;

  /** Allocates; nothing can be exchanged before {@link #connect}. */
  PeerExchange(CudaDevice device, int rank, int ranks, AbortSignal abort) {
    this.rank = rank;
    this.addresses = new long[ranks];
    this.room = PUSHED_BYTES / (ranks - 1) / PUSHED_IN_PACKET;
    this.launcher = device.launcher();
    this.signal = device.openSignal();
    long inbox = 2L * ranks * room * PACKET_BYTES;
    this.memory = (CudaBuffer) device.allocate(COUNTER_BYTES + inbox);
    abort.onRaise(signal::raise);
  }

  /** Where the others write. */
  long address() {
    return memory.address();
  }

  /**
   * Learns where to write.
   *
   * @param all {@link #address} of each rank
   */
  void connect(List<Long> all) {
    Arrays.setAll(addresses, all::get);
  }

  /** Whether a kernel waits for another rank, for some milliseconds already. Any thread. */
  boolean isWaiting() {
    return signal.isWaiting();
  }

  /** See {@link io.flotilla.kernels.Collectives#allReduce}. */
  void sum(Stream stream, Tensor tensor) {
    long bytes = tensor.type().bytes((long) tensor.rows() * tensor.columns());
    if (bytes % VECTOR_BYTES != 0) {
      throw new IllegalArgumentException("ranks sum multiples of 16 bytes, not " + tensor);
    }
    if (bytes == 0) {
      // A launch that waits for nobody would let this rank run ahead of what the others still read.
      return;
    }
    boolean narrow = tensor.type() == TensorType.BF16;
    peers().pointer(CudaBuffer.address(tensor));
    long packets = bytes / PUSHED_IN_PACKET;
    if (packets <= room) {
      launcher
          .number((int) packets)
          .launch(
              narrow ? "sum_pushed" : "sum_pushed_f32",
              grid(packets, PUSHERS, MOST_PUSHING_BLOCKS),
              CudaStream.handle(stream));
      return;
    }
    long vectors = bytes / VECTOR_BYTES;
    launcher
        .number(vectors)
        .launch(
            narrow ? "sum_in_place" : "sum_in_place_f32",
            grid(vectors / addresses.length, THREADS, MOST_BLOCKS),
            CudaStream.handle(stream));
  }

  /** See {@link io.flotilla.kernels.Collectives#gatherColumns}. */
  void gatherColumns(Stream stream, Tensor mine, Tensor all, int first) {
    peers()
        .pointer(CudaBuffer.address(mine))
        .number(mine.rows())
        .number(mine.columns())
        .pointer(CudaBuffer.address(all))
        .number((long) all.stride())
        .number(first)
        .launch(
            "gather_columns",
            // As many on every rank, though the last may have fewer columns.
            grid((long) all.rows() * all.columns() / addresses.length, THREADS, MOST_BLOCKS),
            CudaStream.handle(stream));
  }

  /** Whether {@link #putParts} can move parts of that many bytes. */
  static boolean canPut(long bytes) {
    return bytes % PUT_BYTES == 0;
  }

  /**
   * Writes a part of this rank's memory to each rank's, in the order of ranks.
   *
   * @param bytes of a part
   * @param step from the part for one rank to that for the next, 0 where all get the same
   */
  void putParts(Stream stream, Buffer mine, long bytes, long step, Buffer all) {
    if (bytes == 0) {
      return;
    }
    peers()
        .pointer(CudaBuffer.address(mine))
        .number(step / PUT_BYTES)
        .number(bytes / PUT_BYTES)
        .pointer(CudaBuffer.address(all))
        .launch(
            "put_parts", grid(bytes / PUT_BYTES, THREADS, MOST_BLOCKS), CudaStream.handle(stream));
  }

  private static Launcher.Grid grid(long items, int threads, int most) {
    return Launcher.Grid.of(Math.clamp(Math.ceilDiv(items, threads), 1, most), threads);
  }

  private Launcher peers() {
    MemorySegment peers = launcher.struct();
    for (int peer = 0; peer < addresses.length; peer++) {
      peers.set(JAVA_LONG, 8L * peer, addresses[peer]);
    }
    peers.set(JAVA_LONG, 64, signal.address());
    peers.set(JAVA_INT, 72, rank);
    peers.set(JAVA_INT, 76, addresses.length);
    peers.set(JAVA_INT, 80, room);
    return launcher;
  }
}
