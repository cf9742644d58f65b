package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.cuda.CudaGroup.Part;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Ranks that are threads of one process and read each other's device memory. Where each has a GPU
 * of its own, kernels exchange what every step needs, sums and columns, without the host: see
 * {@link PeerExchange}. All else, and all of it where ranks share a GPU, is ordered by events, so
 * that nothing on a device spins. In each such exchange a rank's stream copies its part aside and
 * records an event; the threads meet; each stream then waits for all events and reads all parts, in
 * the order of ranks. A part stays until all have met twice more: what follows the next exchange's
 * events follows every read of this one.
 */
final class CudaCollectives implements Collectives {
  static final int MOST_RANKS = 8;

  private static final long LEAST_STAGING = 1 << 20;
  private static final long[] NO_SIZES = {};
  private static final int THREADS = 256;
  private static final int MOST_BLOCKS = 512;
  private static final int VECTOR = 8;

  private final CudaGroup group;
  private final int rank;
  private final long[] staging = new long[2];
  private final long[] stagingBytes = new long[2];
  private final long[] events = new long[2];
  private volatile @Nullable PeerExchange peers;
  private boolean joined;
  private long meetings;
  private int half;

  CudaCollectives(CudaGroup group, int rank) {
    this.group = group;
    this.rank = rank;
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return group.size();
  }

  @Override
  public void allReduce(Stream stream, Tensor tensor) {
    long bytes = bytesWithoutGaps(tensor);
    if (group.hasOwnGpus()) {
      peers().sum(stream, tensor);
      return;
    }
    int shown = show(stream, CudaBuffer.address(tensor), bytes, NO_SIZES);
    sum(stream, shown, 0, tensor);
  }

  @Override
  public boolean canRepeat() {
    return group.hasOwnGpus();
  }

  @Override
  public void gatherColumns(Stream stream, Tensor mine, Tensor all, int first) {
    long bytes = bytesWithoutGaps(mine);
    if (group.hasOwnGpus()) {
      peers().gatherColumns(stream, mine, all, first);
      return;
    }
    long[] columns = {first, mine.columns()};
    int shown = show(stream, CudaBuffer.address(mine), bytes, columns);
    for (int peer = 0; peer < size(); peer++) {
      Part part = group.part(shown, peer);
      group
          .device(rank)
          .launcher()
          .pointer(part.address())
          .number((int) part.sizes()[1])
          .pointer(CudaBuffer.address(all) + Float.BYTES * part.sizes()[0])
          .number((long) all.stride())
          .launchAlone(
              "put_columns", Launcher.Grid.of(mine.rows(), THREADS), CudaStream.handle(stream));
    }
  }

  /** The exchange by kernels; all ranks come here first in the same operation. */
  private PeerExchange peers() {
    PeerExchange found = peers;
    if (found == null) {
      join();
      found = new PeerExchange(group.device(rank), rank, size(), group.abort());
      group.publishExchange(rank, found.address());
      group.meetings().meet(rank, ++meetings);
      found.connect(group.exchanges());
      peers = found;
    }
    return found;
  }

  @Override
  public void allGather(Stream stream, Buffer mine, Buffer all) {
    long bytes = mine.bytes();
    requireLength(all, bytes * size());
    if (group.hasOwnGpus() && PeerExchange.canPut(bytes)) {
      peers().putParts(stream, mine, bytes, 0, all);
      return;
    }
    int shown = show(stream, CudaBuffer.address(mine), bytes, NO_SIZES);
    for (int peer = 0; peer < size(); peer++) {
      copy(
          stream, group.part(shown, peer).address(), CudaBuffer.address(all) + peer * bytes, bytes);
    }
  }

  @Override
  public void reduceScatter(Stream stream, Tensor all, Tensor mine) {
    long bytes = bytesWithoutGaps(all);
    long part = bytesWithoutGaps(mine);
    if (bytes != part * size() || all.type() != mine.type()) {
      throw new IllegalArgumentException(
          "%s is not %s for each of %d ranks".formatted(all, mine, size()));
    }
    int shown = show(stream, CudaBuffer.address(all), bytes, NO_SIZES);
    sum(stream, shown, part * rank, mine);
  }

  @Override
  public void allToAll(Stream stream, Buffer from, Buffer to) {
    long bytes = from.bytes() / size();
    requireLength(to, from.bytes());
    if (group.hasOwnGpus() && PeerExchange.canPut(bytes)) {
      peers().putParts(stream, from, bytes, bytes, to);
      return;
    }
    int shown = show(stream, CudaBuffer.address(from), from.bytes(), NO_SIZES);
    for (int peer = 0; peer < size(); peer++) {
      long part = group.part(shown, peer).address() + rank * bytes;
      copy(stream, part, CudaBuffer.address(to) + peer * bytes, bytes);
    }
  }

  @Override
  public void allToAll(
      Stream stream, Buffer from, long[] sentBytes, Buffer to, long[] receivedBytes) {
    int shown = show(stream, CudaBuffer.address(from), from.bytes(), sentBytes);
    long place = CudaBuffer.address(to);
    for (int peer = 0; peer < size(); peer++) {
      Part part = group.part(shown, peer);
      long[] sent = part.sizes();
      if (sent[rank] != receivedBytes[peer]) {
        throw new IllegalStateException(
            "rank %d sends %d bytes where %d were expected"
                .formatted(peer, sent[rank], receivedBytes[peer]));
      }
      long offset = 0;
      for (int before = 0; before < rank; before++) {
        offset += sent[before];
      }
      copy(stream, part.address() + offset, place, sent[rank]);
      place += sent[rank];
    }
  }

  @Override
  public void broadcast(Stream stream, Buffer buffer, int root) {
    long address = CudaBuffer.address(buffer);
    int shown = show(stream, address, rank == root ? buffer.bytes() : 0, NO_SIZES);
    if (rank != root) {
      copy(stream, group.part(shown, root).address(), address, buffer.bytes());
    }
  }

  @Override
  public void send(Stream stream, Buffer from, int receiver) {
    join();
    group.messages(rank, receiver).send(from, CudaStream.handle(stream));
  }

  @Override
  public void receive(Stream stream, Buffer to, int sender) {
    join();
    group.messages(sender, rank).receive(to, CudaStream.handle(stream));
  }

  @Override
  public boolean isWaiting() {
    PeerExchange exchange = peers;
    return group.meetings().isWaiting(rank) || (exchange != null && exchange.isWaiting());
  }

  private void join() {
    if (!joined) {
      for (int peer = 0; peer < size(); peer++) {
        group.device(rank).reach(group.device(peer));
      }
      joined = true;
    }
  }

  /**
   * Shows the others a copy of some memory, and lets the stream wait for what they show.
   *
   * @return the half of the group's parts that they are in
   */
  private int show(Stream stream, long address, long bytes, long[] sizes) {
    join();
    int shown = half;
    half = 1 - half;
    reserve(shown, bytes);
    long handle = CudaStream.handle(stream);
    copy(stream, address, staging[shown], bytes);
    Driver driver = group.device(rank).driver();
    driver.recordEvent(events[shown], handle);
    group.publish(shown, rank, new Part(staging[shown], events[shown], sizes));
    group.meetings().meet(rank, ++meetings);
    for (int peer = 0; peer < size(); peer++) {
      if (peer != rank) {
        driver.waitForEvent(handle, group.part(shown, peer).event());
      }
    }
    return shown;
  }

  private void reserve(int shown, long bytes) {
    CudaDevice device = group.device(rank);
    if (events[shown] == 0) {
      events[shown] = device.createEvent();
    }
    if (stagingBytes[shown] < bytes || staging[shown] == 0) {
      // The memory before may still be read: it is freed with the device.
      stagingBytes[shown] = Math.max(Math.max(bytes, LEAST_STAGING), 2 * stagingBytes[shown]);
      staging[shown] = CudaBuffer.address(device.allocate(stagingBytes[shown]));
    }
  }

  private void sum(Stream stream, int shown, long offset, Tensor out) {
    boolean narrow = out.type() == TensorType.BF16;
    long count = (long) out.rows() * out.columns();
    if (narrow && count % VECTOR != 0) {
      throw new IllegalArgumentException("ranks sum multiples of 8 in bf16, not " + out);
    }
    Launcher launcher = group.device(rank).launcher();
    MemorySegment arguments = launcher.struct();
    for (int peer = 0; peer < size(); peer++) {
      arguments.set(JAVA_LONG, 8L * peer, group.part(shown, peer).address() + offset);
    }
    arguments.set(JAVA_LONG, 64, CudaBuffer.address(out));
    arguments.set(JAVA_LONG, 72, count);
    arguments.set(JAVA_INT, 80, size());
    long blocks = Math.ceilDiv(narrow ? count / VECTOR : count, THREADS);
    launcher.launchAlone(
        narrow ? "sum_ranks" : "sum_ranks_f32",
        Launcher.Grid.of(Math.clamp(blocks, 1, MOST_BLOCKS), THREADS),
        CudaStream.handle(stream));
  }

  private void copy(Stream stream, long from, long to, long bytes) {
    if (bytes > 0) {
      group.device(rank).driver().copyBetweenDevices(to, from, bytes, CudaStream.handle(stream));
    }
  }

  private static long bytesWithoutGaps(Tensor tensor) {
    boolean summed = tensor.type() == TensorType.F32 || tensor.type() == TensorType.BF16;
    if (!summed || (tensor.rows() > 1 && tensor.stride() != tensor.columns())) {
      throw new IllegalArgumentException("ranks sum F32 or bf16 without gaps, not " + tensor);
    }
    return tensor.type().bytes((long) tensor.rows() * tensor.columns());
  }

  private static void requireLength(Buffer buffer, long bytes) {
    if (buffer.bytes() != bytes) {
      throw new IllegalArgumentException(
          "a buffer of %d bytes in place of %d".formatted(buffer.bytes(), bytes));
    }
  }
}
