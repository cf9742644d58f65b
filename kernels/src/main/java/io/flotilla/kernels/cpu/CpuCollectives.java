package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;

/**
 * Ranks that are threads of one process read and write each other's memory. A large sum costs two
 * meetings: between them each rank adds up its slice of all ranks' memory and writes the sum to all
 * of them, so that nothing is read or written twice. A small one costs one meeting: each rank first
 * copies its part aside, and afterwards adds up all parts itself.
 */
final class CpuCollectives implements Collectives {
  /** Up to here a meeting costs more than reading the parts of all ranks. */
  static final long SMALL_BYTES = 8 << 10;

  /** What one thread of a rank takes at a time. */
  private static final long TILE_BYTES = 256 << 10;

  private static final long[] NO_PARTS = {};

  private final CpuGroup group;
  private final int rank;
  private final ThreadTeam team;
  private final Summation summation;
  private final long[] addresses;
  private final long[] target = new long[1];
  private long meetings;
  private int half;

  CpuCollectives(CpuGroup group, int rank, ThreadTeam team, Summation summation) {
    this.group = group;
    this.rank = rank;
    this.team = team;
    this.summation = summation;
    this.addresses = new long[group.size()];
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
    long count = countWithoutGaps(tensor);
    long address = NativeMemory.address(tensor);
    if (4 * count <= SMALL_BYTES) {
      stage(address, 4 * count);
      target[0] = address;
      sum(target, 0, count);
    } else {
      open(address, NO_PARTS);
      long slice = alignedShare(count);
      long first = Math.min(count, rank * slice);
      sum(addresses, 4 * first, Math.min(slice, count - first));
      meet();
    }
  }

  @Override
  public void allGather(Stream stream, Buffer mine, Buffer all) {
    long bytes = mine.bytes();
    requireLength(all, bytes * size());
    long to = NativeMemory.address(all);
    boolean staged = bytes <= SMALL_BYTES;
    if (staged) {
      stage(NativeMemory.address(mine), bytes);
    } else {
      open(NativeMemory.address(mine), NO_PARTS);
    }
    for (int peer = 0; peer < size(); peer++) {
      copy(addresses[peer], to + peer * bytes, bytes);
    }
    if (!staged) {
      meet();
    }
  }

  @Override
  public boolean canRepeat() {
    return true;
  }

  @Override
  public void gatherColumns(Stream stream, Tensor mine, Tensor all, int first) {
    long bytes = 4L * mine.columns();
    long from = NativeMemory.address(mine);
    open(NativeMemory.address(all), NO_PARTS);
    for (int row = 0; row < mine.rows(); row++) {
      for (int peer = 0; peer < size(); peer++) {
        long to = addresses[peer] + 4 * ((long) row * all.stride() + first);
        copy(from + row * bytes, to, bytes);
      }
    }
    meet();
  }

  @Override
  public void reduceScatter(Stream stream, Tensor all, Tensor mine) {
    long count = countWithoutGaps(mine);
    if (countWithoutGaps(all) != count * size()) {
      throw new IllegalArgumentException(
          "%d elements are not %d for each of %d ranks"
              .formatted(countWithoutGaps(all), count, size()));
    }
    open(NativeMemory.address(all), NO_PARTS);
    long offset = 4 * count * rank;
    target[0] = NativeMemory.address(mine) - offset;
    sum(target, offset, count);
    meet();
  }

  @Override
  public void allToAll(Stream stream, Buffer from, Buffer to) {
    requireLength(to, from.bytes());
    open(NativeMemory.address(from), NO_PARTS);
    long bytes = from.bytes() / size();
    for (int peer = 0; peer < size(); peer++) {
      copy(addresses[peer] + rank * bytes, NativeMemory.address(to) + peer * bytes, bytes);
    }
    meet();
  }

  @Override
  public void allToAll(
      Stream stream, Buffer from, long[] sentBytes, Buffer to, long[] receivedBytes) {
    open(NativeMemory.address(from), sentBytes);
    long place = NativeMemory.address(to);
    for (int peer = 0; peer < size(); peer++) {
      long[] sent = group.parts(peer);
      if (sent[rank] != receivedBytes[peer]) {
        throw new IllegalStateException(
            "rank %d sends %d bytes where %d were expected"
                .formatted(peer, sent[rank], receivedBytes[peer]));
      }
      long offset = 0;
      for (int before = 0; before < rank; before++) {
        offset += sent[before];
      }
      copy(addresses[peer] + offset, place, sent[rank]);
      place += sent[rank];
    }
    meet();
  }

  @Override
  public void broadcast(Stream stream, Buffer buffer, int root) {
    long address = NativeMemory.address(buffer);
    boolean staged = buffer.bytes() <= SMALL_BYTES;
    if (staged) {
      stage(address, rank == root ? buffer.bytes() : 0);
    } else {
      open(address, NO_PARTS);
    }
    if (rank != root) {
      copy(addresses[root], address, buffer.bytes());
    }
    if (!staged) {
      meet();
    }
  }

  @Override
  public void send(Stream stream, Buffer from, int receiver) {
    group.queue(rank, receiver).send(NativeMemory.segment(from));
  }

  @Override
  public void receive(Stream stream, Buffer to, int sender) {
    group.queue(sender, rank).receive(NativeMemory.segment(to));
  }

  @Override
  public boolean isWaiting() {
    return group.meetings().isWaiting(rank);
  }

  /** Shows this rank's memory to the others until the next meeting. */
  private void open(long address, long[] sentBytes) {
    group.publish(rank, address, sentBytes);
    meet();
    for (int peer = 0; peer < size(); peer++) {
      addresses[peer] = group.published(peer);
    }
  }

  /**
   * Shows the others a copy, which stays until all have met twice more: the other half is for the
   * next copy, and who meets the others there has read this one.
   */
  private void stage(long address, long bytes) {
    copy(address, group.staging(rank, half), bytes);
    meet();
    for (int peer = 0; peer < size(); peer++) {
      addresses[peer] = group.staging(peer, half);
    }
    half = 1 - half;
  }

  private void meet() {
    group.meetings().meet(rank, ++meetings);
  }

  private void sum(long[] to, long offset, long count) {
    long tile = TILE_BYTES / 4;
    team.run(
        Math.toIntExact(Math.ceilDiv(count, tile)),
        (index, _) -> {
          long first = index * tile;
          summation.sum(addresses, to, offset + 4 * first, Math.min(tile, count - first));
        });
  }

  private void copy(long from, long to, long bytes) {
    team.run(
        Math.toIntExact(Math.ceilDiv(bytes, TILE_BYTES)),
        (index, _) -> {
          long first = index * TILE_BYTES;
          long length = Math.min(TILE_BYTES, bytes - first);
          MemorySegment.copy(NativeMemory.ALL, from + first, NativeMemory.ALL, to + first, length);
        });
  }

  /** A rank's slice of a sum, whole cache lines, so that no two ranks write to one. */
  private long alignedShare(long count) {
    return Math.ceilDiv(Math.ceilDiv(count, size()), 32L) * 32;
  }

  private static long countWithoutGaps(Tensor tensor) {
    if (tensor.type() != TensorType.F32
        || (tensor.rows() > 1 && tensor.stride() != tensor.columns())) {
      throw new IllegalArgumentException("ranks sum F32 without gaps, not " + tensor);
    }
    return (long) tensor.rows() * tensor.columns();
  }

  private static void requireLength(Buffer buffer, long bytes) {
    if (buffer.bytes() != bytes) {
      throw new IllegalArgumentException(
          "a buffer of %d bytes in place of %d".formatted(buffer.bytes(), bytes));
    }
  }
}
